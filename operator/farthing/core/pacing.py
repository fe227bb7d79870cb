"""Budgets as limits on the rate of spending.

What is left of a budget over the time left of its period is its even pace. A limit lets a payer spend at `burst`
times that pace: with burst b the money left falls like (time left)^b, so it never runs out before the period does,
and what is not spent now may be spent later. Worked number: 12.00 for a day, 2.00 spent by noon, burst 3: the limit
is 3 × 10.00 / 12 h = 2.50 per hour. In the last two minutes it is no more than what is left pays for: a burst must
not overspend what it cannot take back at the next tick.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

from farthing.core.calendar import period_bounds
from farthing.core.domain import BudgetPeriod, BudgetStanding

MICROSECONDS_PER_HOUR = Decimal(3_600_000_000)
LAST_HOURS = Decimal(2) / 60
"""A minute until the next look, and a minute that what is given up then still costs."""


def hours(duration: timedelta) -> Decimal:
    """A duration in hours, exactly as far as decimals go."""
    return Decimal(duration // timedelta(microseconds=1)) / MICROSECONDS_PER_HOUR


def allowed_per_hour(
    at: datetime, period: BudgetPeriod, amount: Decimal, spent: Decimal, burst: float
) -> Decimal:
    """What may be spent per hour now; never below zero."""
    _, end = period_bounds(at, period)
    left = max(Decimal(0), amount - spent)
    spread = max(hours(end - at) / Decimal(str(burst)), min(hours(end - at), LAST_HOURS))
    return left / spread


def standing(
    payer: str,
    at: datetime,
    period: BudgetPeriod,
    amount: Decimal,
    spent: Decimal,
    limit_per_hour: Decimal | None,
    cost_per_hour: Decimal,
) -> BudgetStanding:
    """Where a budget stands; the forecast is what will have been spent if the cost stays as it is."""
    start, end = period_bounds(at, period)
    return BudgetStanding(
        payer=payer,
        period_start=start,
        period_end=end,
        amount=amount,
        spent=spent,
        allowed_per_hour=limit_per_hour,
        cost_per_hour=cost_per_hour,
        forecast=spent + cost_per_hour * hours(end - at),
    )
