from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farthing.core.domain import BudgetPeriod, BudgetStanding
from farthing.core.pacing import allowed_per_hour, hours, standing

NOON = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("amount", "spent", "burst", "limit"),
    [
        # 3 × 10.00 left / 12 h left
        ("12.00", "2.00", 3.0, "2.5"),
        # The even pace: 6.00 / 12 h
        ("12.00", "6.00", 1.0, "0.5"),
        ("12.00", "12.00", 3.0, "0"),
        # Overspent: never below zero
        ("12.00", "12.50", 3.0, "0"),
    ],
)
def test_what_is_left_over_the_time_left_is_the_pace(
    amount: str, spent: str, burst: float, limit: str
) -> None:
    assert allowed_per_hour(
        NOON, BudgetPeriod.DAY, Decimal(amount), Decimal(spent), burst
    ) == Decimal(limit)


def test_the_last_minutes_of_a_period_pay_for_no_more_than_is_left() -> None:
    # 0.60 left with 30 s to go: all of it in 30 s is 72 per hour, and no burst on top.
    at = datetime(2026, 11, 25, 23, 59, 30, tzinfo=UTC)
    limit = allowed_per_hour(at, BudgetPeriod.DAY, Decimal("12.00"), Decimal("11.40"), 3.0)
    assert limit.quantize(Decimal("0.000001")) == Decimal("72.000000")


@given(
    tick_s=st.integers(1, 60),
    burst=st.floats(1.0, 5.0),
    start_s=st.integers(0, 86_399),
    shares=st.lists(st.floats(0, 1), min_size=1, max_size=20),
)
def test_whoever_follows_the_limit_never_overspends(
    tick_s: int, burst: float, start_s: int, shares: list[float]
) -> None:
    amount, spent = Decimal(100), Decimal(0)
    at = datetime(2026, 11, 25, tzinfo=UTC) + timedelta(seconds=start_s)
    end = datetime(2026, 11, 26, tzinfo=UTC)
    index = 0
    while at < end and index < 400:
        limit = allowed_per_hour(at, BudgetPeriod.DAY, amount, spent, burst)
        share = Decimal(str(shares[index % len(shares)]))
        until = min(end, at + timedelta(seconds=tick_s))
        spent += limit * share * hours(until - at)
        at, index = until, index + 1
        assert spent <= amount + Decimal("1e-20")


def test_a_standing_says_what_will_have_been_spent() -> None:
    assert standing(
        "shop", NOON, BudgetPeriod.DAY, Decimal(12), Decimal(2), Decimal("2.5"), Decimal("0.5")
    ) == BudgetStanding(
        payer="shop",
        period_start=datetime(2026, 11, 25, tzinfo=UTC),
        period_end=datetime(2026, 11, 26, tzinfo=UTC),
        amount=Decimal(12),
        spent=Decimal(2),
        allowed_per_hour=Decimal("2.5"),
        cost_per_hour=Decimal("0.5"),
        forecast=Decimal(8),  # 2 + 0.5 × 12 h
    )
