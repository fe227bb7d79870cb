"""Calendar windows of budgets, in UTC."""

from __future__ import annotations

from datetime import datetime, timedelta

from farthing.core.domain import BudgetPeriod


def period_bounds(at: datetime, period: BudgetPeriod) -> tuple[datetime, datetime]:
    """Start (inclusive) and end (exclusive) of the period that contains `at`.

    `2026-11-30T23:59:59Z` with MONTH gives `2026-11-01` and `2026-12-01`.
    """
    hour = at.replace(minute=0, second=0, microsecond=0)
    if period is BudgetPeriod.HOUR:
        return hour, hour + timedelta(hours=1)
    day = hour.replace(hour=0)
    if period is BudgetPeriod.DAY:
        return day, day + timedelta(days=1)
    first = day.replace(day=1)
    # Day 1 plus 32 days always falls into the next month.
    return first, (first + timedelta(days=32)).replace(day=1)
