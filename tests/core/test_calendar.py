from __future__ import annotations

from datetime import UTC, datetime

import pytest

from farthing.core.calendar import period_bounds
from farthing.core.domain import BudgetPeriod


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type, misc]


@pytest.mark.parametrize(
    ("at", "period", "start", "end"),
    [
        (utc(2026, 11, 30, 23, 59, 59), BudgetPeriod.MONTH, utc(2026, 11, 1), utc(2026, 12, 1)),
        (utc(2026, 12, 31, 12), BudgetPeriod.MONTH, utc(2026, 12, 1), utc(2027, 1, 1)),
        (utc(2028, 2, 29, 1), BudgetPeriod.MONTH, utc(2028, 2, 1), utc(2028, 3, 1)),
        (utc(2027, 2, 28, 23), BudgetPeriod.MONTH, utc(2027, 2, 1), utc(2027, 3, 1)),
        (utc(2026, 1, 1), BudgetPeriod.MONTH, utc(2026, 1, 1), utc(2026, 2, 1)),
        (utc(2028, 2, 28, 23, 30), BudgetPeriod.DAY, utc(2028, 2, 28), utc(2028, 2, 29)),
        (utc(2026, 12, 31, 23, 30), BudgetPeriod.DAY, utc(2026, 12, 31), utc(2027, 1, 1)),
        (utc(2026, 3, 29, 2, 30, 1), BudgetPeriod.HOUR, utc(2026, 3, 29, 2), utc(2026, 3, 29, 3)),
        (utc(2026, 12, 31, 23), BudgetPeriod.HOUR, utc(2026, 12, 31, 23), utc(2027, 1, 1)),
    ],
)
def test_a_period_starts_and_ends_where_the_calendar_says(
    at: datetime, period: BudgetPeriod, start: datetime, end: datetime
) -> None:
    assert period_bounds(at, period) == (start, end)


@pytest.mark.parametrize("period", list(BudgetPeriod))
def test_the_end_of_a_period_belongs_to_the_next(period: BudgetPeriod) -> None:
    _, end = period_bounds(utc(2026, 12, 31, 23, 59, 59, 999_999), period)
    assert period_bounds(end, period)[0] == end
