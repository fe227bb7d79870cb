from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from tests.builders import (
    FP32,
    ON_DEMAND,
    RESERVED,
    SENTIMENT,
    SPOT,
    on_demand,
    reserved,
    spot,
    workload,
)

from farthing.core.beliefs import ServiceEstimate
from farthing.core.candidates import Candidate, Excluded, list_candidates, prices
from farthing.core.domain import Pool, PoolName, ReasonCode, Variant, VariantName, Workload
from farthing.core.policy import Policy

POOLS = (spot(), reserved(), on_demand())


def estimate(at: PoolName, rate_rps: float | None = 75.0, **changes: Any) -> ServiceEstimate:
    defaults = {
        "workload": SENTIMENT,
        "variant": FP32,
        "pool": at,
        "rate_rps": rate_rps,
        "latency_s": 0.25,
        "startup_s": 180.0,
        "provenance": None,
    }
    return ServiceEstimate(**defaults | changes)


def listed(
    one: Workload,
    rates: dict[PoolName, float | None],
    pools: tuple[Pool, ...] = POOLS,
    refused: frozenset[PoolName] = frozenset(),
    staying: dict[Any, int] | None = None,
) -> tuple[tuple[Candidate, ...], tuple[Excluded, ...]]:
    estimates = tuple(estimate(name, rate) for name, rate in rates.items())
    return list_candidates(one, pools, estimates, refused, Policy(), staying)


EQUAL: dict[PoolName, float | None] = {RESERVED: 75.0, SPOT: 75.0, ON_DEMAND: 75.0}


def test_marginal_prices_are_those_of_the_worked_numbers() -> None:
    usable, excluded = listed(workload(), EQUAL)
    assert excluded == ()
    found = {
        c.pool.name: (c.effective_per_hour, round(c.keep_per_hour, 4), round(c.new_per_hour, 4))
        for c in usable
    }
    assert found == {
        # 180 of 3600 s are start-up: 0.70 × 1.05
        ON_DEMAND: (Decimal("0.70"), 0.7, 0.735),
        # Committed: paid for already.
        RESERVED: (Decimal("0.45"), 0.0, 0.0),
        # 0.284 + 0.12 × (12 × 0.70 × 150 / 3600 + 0.284 × 180 / 3600) = 0.3277; + 0.284 × 0.05
        SPOT: (Decimal("0.284"), 0.3277, 0.3419),
    }


def test_more_slots_cost_more() -> None:
    wide = workload(variants=(Variant(name=FP32, slots=4),))
    usable, _ = listed(wide, EQUAL)
    assert [c.effective_per_hour for c in usable] == [
        Decimal("2.80"),
        Decimal("1.80"),
        Decimal("1.136"),
    ]
    assert prices(wide, (spot(price=None), on_demand())) == {(FP32, ON_DEMAND): Decimal("2.80")}


def test_an_unknown_place_is_believed_half_as_fast_as_the_slowest_known_one() -> None:
    usable, _ = listed(workload(), {RESERVED: 75.0, SPOT: None, ON_DEMAND: 40.0})
    assert {c.pool.name: c.rate_rps for c in usable} == {
        ON_DEMAND: 40.0,
        RESERVED: 75.0,
        SPOT: 20.0,
    }


def test_nothing_known_at_all_stays_unknown() -> None:
    usable, _ = listed(workload(), dict.fromkeys(EQUAL))
    assert [c.rate_rps for c in usable] == [None] * 3


@pytest.mark.parametrize(
    ("changes", "arguments", "reason", "message"),
    [
        (
            {"spot_allowed": False},
            {},
            ReasonCode.SPOT_FORBIDDEN,
            "placement.spot is Forbid",
        ),
        (
            {},
            {"refused": frozenset({SPOT})},
            ReasonCode.SET_ASIDE,
            "launches were refused; the pool is probed again later",
        ),
        (
            {},
            {"pools": (spot(price=None), *POOLS[1:])},
            ReasonCode.UNPRICED,
            "the pool has no price",
        ),
        (
            {},
            {"rates": EQUAL | {SPOT: 0.0}},
            ReasonCode.MISSES_SLO,
            "a lone request takes 250 ms, the SLO is 250 ms",
        ),
    ],
)
def test_a_place_that_may_not_be_used_says_why(
    changes: dict[str, Any], arguments: dict[str, Any], reason: ReasonCode, message: str
) -> None:
    usable, excluded = listed(workload(**changes), **{"rates": EQUAL} | arguments)
    assert excluded == (Excluded(key=(FP32, SPOT), reason=reason, message=message),)
    assert [c.pool.name for c in usable] == [ON_DEMAND, RESERVED]


def test_accuracy_below_the_floor_excludes_a_variant_and_unknown_accuracy_does_not() -> None:
    int8 = VariantName("int8")
    both = (Variant(name=FP32), Variant(name=int8, accuracy_fraction=0.9))
    one = workload(variants=both, pools=(SPOT,), minimum_accuracy_fraction=0.95)
    estimates = (estimate(SPOT), estimate(SPOT, variant=int8))
    usable, excluded = list_candidates(one, POOLS, estimates, frozenset(), Policy())
    assert [c.variant for c in usable] == [FP32]
    assert [(e.reason, e.message) for e in excluded] == [
        (ReasonCode.BELOW_ACCURACY, "accuracy 90.0% is below the floor of 95.0%")
    ]


def test_what_stands_in_a_refusing_pool_goes_on_counting() -> None:
    usable, excluded = listed(
        workload(), EQUAL, refused=frozenset({SPOT}), staying={(FP32, SPOT): 2}
    )
    assert {c.pool.name: c.most for c in usable} == {ON_DEMAND: None, RESERVED: None, SPOT: 2}
    assert [e.reason for e in excluded] == [ReasonCode.SET_ASIDE]


def test_where_everything_is_late_the_late_places_are_all_there_is() -> None:
    usable, excluded = listed(workload(), dict.fromkeys(EQUAL, 0.0))
    assert [(c.pool.name, c.rate_rps) for c in usable] == [
        (ON_DEMAND, None),
        (RESERVED, None),
        (SPOT, None),
    ]
    assert {e.reason for e in excluded} == {ReasonCode.MISSES_SLO}
