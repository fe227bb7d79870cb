"""The bill with figures derived by hand."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from benchmarks.demo import bill
from hypothesis import given
from hypothesis import strategies as st

START = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
RESERVED = bill.Price(
    pool="l4-reserved",
    capacity_type="Reserved",
    hardware="NVIDIA-L4",
    per_slot_hour=Decimal("0.45"),
    committed_slots=2,
)
SPOT = bill.Price(
    pool="l4-spot", capacity_type="Spot", hardware="NVIDIA-L4", per_slot_hour=Decimal("0.284")
)
ON_DEMAND = bill.Price(
    pool="l4-ondemand",
    capacity_type="OnDemand",
    hardware="NVIDIA-L4",
    per_slot_hour=Decimal("0.70"),
)
CPU = bill.Price(
    pool="cpu", capacity_type="OnDemand", hardware="cpu", per_slot_hour=Decimal("0.19")
)
PRICES = (RESERVED, SPOT, ON_DEMAND, CPU)


def after(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def life(service: str, pool: str, start_s: float, end_s: float | None) -> bill.Lifetime:
    return bill.Lifetime(
        service=service,
        pool=pool,
        start=after(start_s),
        end=None if end_s is None else after(end_s),
    )


def test_a_bill_has_a_line_for_each_service_and_capacity_type() -> None:
    # An hour is billed. chat: reserved 0:00-1:00 and 0:00-0:30, so 1.5 h and 0.675; spot
    # 0:15-0:45, so 0.5 h and 0.142. embedder: cpu for the whole hour, 0.19.
    # On demand an L4 is 0.70: 1.05 and 0.35. Committed are 2 slots, so 0.5 h of 0.45 is unused.
    lives = [
        life("chat", "l4-reserved", 0, None),
        life("chat", "l4-reserved", 0, 1800),
        life("chat", "l4-spot", 900, 2700),
        life("embedder", "cpu", 0, None),
    ]

    made = bill.bill(lives, PRICES, since=START, until=after(3600))

    assert made == bill.Bill(
        since=START,
        until=after(3600),
        lines=(
            bill.Line(
                service="chat",
                capacity_type="Reserved",
                replica_hours=Decimal("1.5"),
                paid=Decimal("0.675"),
                at_on_demand_prices=Decimal("1.05"),
            ),
            bill.Line(
                service="chat",
                capacity_type="Spot",
                replica_hours=Decimal("0.5"),
                paid=Decimal("0.142"),
                at_on_demand_prices=Decimal("0.35"),
            ),
            bill.Line(
                service="embedder",
                capacity_type="OnDemand",
                replica_hours=Decimal(1),
                paid=Decimal("0.19"),
                at_on_demand_prices=Decimal("0.19"),
            ),
        ),
        exact=bill.Totals(
            replica_hours=Decimal(3),
            paid=Decimal("1.007"),
            at_on_demand_prices=Decimal("1.59"),
        ),
        unused=(
            bill.Unused(pool="l4-reserved", slot_hours=Decimal("0.5"), worth=Decimal("0.225")),
        ),
    )
    assert made.total == made.exact
    assert made.saving == Decimal("0.583")
    assert made.paid_by("chat") == Decimal("0.817")


def test_a_replica_counts_only_between_the_instants_that_are_billed() -> None:
    one = life("chat", "l4-spot", 0, 100)

    assert one.microseconds(after(20), after(60)) == 40_000_000
    assert one.microseconds(after(20), after(200)) == 80_000_000
    assert one.microseconds(after(100), after(200)) == 0


def test_the_saving_is_negative_where_on_demand_is_the_cheapest() -> None:
    dear = bill.Price(
        pool="l4-spot", capacity_type="Spot", hardware="NVIDIA-L4", per_slot_hour=Decimal("0.90")
    )

    made = bill.bill(
        [life("chat", "l4-spot", 0, 3600)], [dear, ON_DEMAND], since=START, until=after(3600)
    )

    assert made.saving == Decimal("-0.20")


def test_the_total_is_the_sum_of_the_lines_that_are_shown() -> None:
    # Three services for 5.4 ms each: 0.0000015 h, half-way, rounded to the even 0.000002.
    lives = [life(name, "cpu", 0, 0.0054) for name in ("first", "second", "third")]

    made = bill.bill(lives, PRICES, since=START, until=after(10))

    assert [line.replica_hours for line in made.lines] == [Decimal("0.000002")] * 3
    assert made.total.replica_hours == Decimal("0.000006")
    assert made.exact.replica_hours == Decimal("0.0000045")
    assert bill.disagreements(made) == ()


def test_lines_that_do_not_add_up_are_named() -> None:
    made = bill.bill([life("chat", "l4-spot", 0, 3600)], PRICES, since=START, until=after(3600))
    counted = dataclasses.replace(made.exact, paid=Decimal("0.285"))

    assert bill.disagreements(dataclasses.replace(made, exact=counted)) == (
        "paid: the lines sum to 0.284000, counted without them it is 0.285000",
    )


def test_a_replica_without_a_price_is_an_error_and_not_free() -> None:
    with pytest.raises(bill.UnpricedError, match="The pool edge of a replica of chat has no price"):
        bill.bill([life("chat", "edge", 0, 1)], PRICES, since=START, until=after(1))
    with pytest.raises(bill.UnpricedError, match="No OnDemand pool sells NVIDIA-L4"):
        bill.bill([life("chat", "l4-spot", 0, 1)], [SPOT], since=START, until=after(1))


LIVES = st.lists(
    st.builds(
        life,
        st.sampled_from(["chat", "embedder"]),
        st.sampled_from([price.pool for price in PRICES]),
        st.floats(0, 500),
        st.one_of(st.none(), st.floats(500, 1000)),
    ),
    max_size=20,
)


@given(LIVES)
def test_the_lines_of_every_bill_add_up_and_are_within_a_millionth(
    lives: list[bill.Lifetime],
) -> None:
    made = bill.bill(lives, PRICES, since=START, until=after(800))

    assert bill.disagreements(made) == ()
    for line in made.lines:
        exact = sum(
            (
                price.per_slot_hour * one.microseconds(START, after(800))
                for one in lives
                for price in PRICES
                if price.pool == one.pool
                and (one.service, price.capacity_type) == (line.service, line.capacity_type)
            ),
            Decimal(0),
        )
        assert abs(line.paid - exact / bill.MICROSECONDS_PER_HOUR) < Decimal("0.000001")
