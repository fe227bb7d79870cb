"""Money and figures: exact inside, decimal strings outside."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from farthing.api import fields
from farthing.api.inference_service_status import PoolSpend


def _spend(amount: object) -> PoolSpend:
    return PoolSpend.model_validate({"pool": "p", "capacityType": "Spot", "amount": amount})


@given(st.integers(min_value=0, max_value=10**21 - 1))
def test_every_billionth_of_money_survives_the_way_out_and_in(billionths: int) -> None:
    spend = PoolSpend(pool="p", capacity_type="Spot", amount=Decimal(billionths).scaleb(-9))

    assert _spend(spend.to_document()["amount"]).amount == Decimal(billionths).scaleb(-9)


@pytest.mark.parametrize(
    "amount",
    [
        "NaN",
        "-1",
        "1e3",
        "٣",
        " 1",
        "1 ",
        "1\n",
        "0x10",
        "01",
        "1.",
        ".5",
        "1_000",
        "",
        1,
        1.5,
        True,
        Decimal("NaN"),
        Decimal("-1"),
        Decimal("Infinity"),
        Decimal("0.0000000001"),
        None,
        [],
        {},
    ],
)
def test_what_is_no_exact_amount_is_refused(amount: object) -> None:
    with pytest.raises(ValidationError):
        _spend(amount)


def test_small_amounts_are_written_without_exponent() -> None:
    assert _spend(Decimal("1E-9")).to_document()["amount"] == "0.000000001"


def test_rounding_to_a_billionth_is_to_the_even_neighbor() -> None:
    halves = [Decimal("0.0000000005"), Decimal("0.0000000015"), Decimal("0.0000000025")]

    assert [fields.rounded(half) for half in halves] == [
        Decimal("0E-9"),
        Decimal("0.000000002"),
        Decimal("0.000000002"),
    ]


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (None, "unknown"),
        (Decimal("NaN"), "unknown"),
        (Decimal("Infinity"), "unknown"),
        (Decimal(0), "0"),
        (Decimal("612.000"), "612"),
        (Decimal("2.7004"), "2.7"),
        (Decimal("100"), "100"),
        (Decimal("1E+3"), "1000"),
        (Decimal("0.0001"), "0"),
    ],
)
def test_a_figure_is_a_short_number_or_the_word_unknown(
    value: Decimal | None, written: str
) -> None:
    assert fields.number_or_unknown(value) == written
