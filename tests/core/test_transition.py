from __future__ import annotations

from decimal import Decimal
from typing import Any

from tests.builders import FP32, ON_DEMAND, SPOT

from farthing.core.allocation import Limit
from farthing.core.domain import ReasonCode
from farthing.core.transition import Bounds, fit

OLD, NEW = (FP32, ON_DEMAND), (FP32, SPOT)
PRICES = {OLD: Decimal("0.70"), NEW: Decimal("0.30")}


def bounds(money: str | None = None, **changes: Any) -> Bounds:
    limit = (
        None
        if money is None
        else Limit(name="b", reason=ReasonCode.SERVICE_BUDGET, per_hour=Decimal(money))
    )
    defaults = {"max_replicas": 10, "free_slots": {}, "money": limit, "prices": PRICES, "slots": {}}
    return Bounds(**defaults | changes)


def moved(limits: Bounds, wanted: int, old: int, new: int = 0, due: bool = False) -> tuple:
    """From `old` replicas in the old place and `new` in the new one to `wanted` in the new one."""
    found = fit(
        {NEW: wanted},
        {OLD: old, NEW: new},
        {OLD: old, NEW: max(wanted, new)},
        frozenset({OLD} if due else ()),
        limits,
    )
    return found.get(OLD, 0), found.get(NEW, 0)


def test_without_limits_the_new_stand_beside_the_old() -> None:
    assert moved(bounds(), 3, 3) == (3, 3)


def test_at_the_maximum_one_more_is_there_during_a_move() -> None:
    assert moved(bounds(max_replicas=3), 3, 3) == (3, 1)
    assert moved(bounds(max_replicas=3), 3, 2, 1) == (2, 2)


def test_growth_alone_never_goes_over_the_maximum() -> None:
    assert moved(bounds(max_replicas=3), 5, 0) == (0, 3)


def test_more_than_the_maximum_leaves_at_once_the_unwanted_first() -> None:
    assert moved(bounds(max_replicas=3), 2, 3, 2) == (1, 2)


def test_a_full_pool_takes_no_more_than_it_has() -> None:
    assert moved(bounds(free_slots={SPOT: 2}), 3, 3) == (3, 2)
    assert moved(bounds(free_slots={SPOT: 4}, slots={NEW: 2}), 3, 3) == (3, 2)
    assert moved(bounds(free_slots={ON_DEMAND: 1}), 1, 3) == (1, 1)
    assert moved(bounds(free_slots={ON_DEMAND: -1}), 1, 3) == (0, 1)


def test_the_old_have_the_first_claim_on_the_money() -> None:
    # 2 × 0.70 = 1.40 run; 1.75 pays for one at 0.30 beside them.
    assert moved(bounds("1.75"), 2, 2) == (2, 1)
    # 1.00 does not even pay for both.
    assert moved(bounds("1.00"), 2, 2) == (1, 1)


def test_the_old_give_way_when_they_were_kept_long_enough_and_more_is_wanted() -> None:
    # 0.70 runs and 0.90 may be spent: nothing fits beside it, three fit instead.
    assert moved(bounds("0.90"), 3, 1) == (1, 0)
    assert moved(bounds("0.90"), 3, 1, due=True) == (0, 3)


def test_the_old_give_way_in_a_place_that_is_wanted_no_more() -> None:
    assert moved(bounds("0.90"), 1, 1, due=True) == (0, 1)


def test_the_old_stay_where_some_of_them_are_wanted_and_no_more_than_run() -> None:
    # Two run and two are wanted, one of them elsewhere: to save 0.40, nobody serves less.
    found = fit({OLD: 1, NEW: 1}, {OLD: 2}, {OLD: 2, NEW: 1}, frozenset({OLD}), bounds("1.50"))
    assert found == {OLD: 2}


def test_the_old_stay_when_everything_wanted_is_there() -> None:
    assert moved(bounds(), 2, 1, 2, due=True) == (1, 2)


def test_places_without_a_price_do_not_count_as_money() -> None:
    assert moved(bounds("0.70", prices={OLD: Decimal("0.70")}), 2, 1) == (1, 2)
