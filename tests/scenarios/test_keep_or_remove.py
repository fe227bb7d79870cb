"""A replica is kept for as long as starting it again would take, and not longer."""

from __future__ import annotations

import pytest
from tests.builders import (
    AT,
    FP32,
    ON_DEMAND,
    SENTIMENT,
    SPOT,
    after,
    decide,
    observation,
    on_demand,
    profile,
    reading,
    running,
    spot,
    targets,
    workload,
)

from farthing.core.domain import ReasonCode
from farthing.core.state import LoweringIntent, PlannerState


def lowered_since(second: float, *pools: object) -> PlannerState:
    return PlannerState(
        first_tick_at=AT,
        lowering=tuple(
            LoweringIntent(workload=SENTIMENT, variant=FP32, pool=p, since=after(second))
            for p in pools
        ),
    )


@pytest.mark.parametrize(
    ("startup_s", "second", "spots"),
    [
        (180.0, 179, 4),
        (180.0, 180, 1),
        # A start faster than the minimum does not make it shorter.
        (5.0, 59, 4),
        (5.0, 60, 1),
    ],
)
def test_surplus_is_kept_as_long_as_a_start_takes(
    startup_s: float, second: float, spots: int
) -> None:
    at = after(second)
    seen = observation(
        at=at,
        profiles=(profile(startup_s=startup_s),),
        readings=(reading(200, ends_at=at),),
        **running(reserved=2, spot=4),
    )
    step = decide(seen, lowered_since(0, SPOT))
    assert step.plan.targets == targets(reserved=2, spot=spots)
    expected = ReasonCode.RETAINED if spots == 4 else ReasonCode.CHEAPEST
    assert step.plan.decisions[0].reason is expected


def test_a_rise_in_between_makes_the_wait_begin_anew() -> None:
    state = decide(observation(readings=(reading(200),), **running(reserved=2, spot=4))).state
    assert state.lowering == lowered_since(0, SPOT).lowering
    at = after(100)
    busy = observation(at=at, readings=(reading(400, ends_at=at),), **running(reserved=2, spot=4))
    assert decide(busy, state).state.lowering == ()


def test_the_dearest_replica_leaves_first() -> None:
    at = after(200)
    seen = observation(
        at=at,
        pools=(spot(), on_demand()),
        workloads=(workload(pools=(SPOT, ON_DEMAND)),),
        readings=(reading(100, ends_at=at),),
        **running(spot=2, on_demand=2),
    )
    step = decide(seen, lowered_since(0, ON_DEMAND))
    assert step.plan.targets == targets(spot=2, on_demand=0)


def test_ready_replicas_leave_only_as_far_as_others_cover_what_is_wanted() -> None:
    # Three on-demand replicas move to spot, which asks for three; one of those is ready.
    at = after(200)
    seen = observation(
        at=at,
        pools=(spot(), on_demand()),
        workloads=(workload(pools=(SPOT, ON_DEMAND), max_replicas=6),),
        readings=(reading(200, ends_at=at),),
        **running(spot=1, on_demand=3) | {"targets": targets(spot=3, on_demand=3)},
    )
    dear = observation(
        at=at,
        pools=(spot(), on_demand(price="7.00")),
        workloads=seen.workloads,
        replicas=seen.replicas,
        targets=seen.targets,
        readings=seen.readings,
    )
    step = decide(dear, lowered_since(0, ON_DEMAND))
    assert step.plan.targets == targets(spot=3, on_demand=2)


def test_a_move_at_the_maximum_goes_one_by_one() -> None:
    full = workload(pools=(SPOT, ON_DEMAND), spot_allowed=False, max_replicas=3)
    step = decide(observation(workloads=(full,), readings=(reading(200),), **running(spot=3)))
    assert step.plan.targets == targets(spot=3, on_demand=1)


def test_a_lower_maximum_takes_effect_at_once() -> None:
    lower = workload(max_replicas=3)
    step = decide(
        observation(workloads=(lower,), readings=(reading(400),), **running(reserved=2, spot=4))
    )
    assert step.plan.targets == targets(reserved=2, spot=1)
    assert step.plan.decisions[0].reason is ReasonCode.MAX_REPLICAS


def test_replicas_that_are_starting_count() -> None:
    seen = observation(
        readings=(reading(400),), **running(reserved=2) | {"targets": targets(reserved=2, spot=4)}
    )
    assert decide(seen).plan.targets == targets(reserved=2, spot=4)


def test_a_queue_adds_what_drains_it_in_time() -> None:
    # 124 waiting on one replica: (124 - 4) / 20 s = 6 per second on top of 70 + 4.3: two replicas instead of one.
    queued = observation(readings=(reading(69, queued=124.0),), **running(reserved=1))
    step = decide(queued)
    assert step.plan.targets == targets(reserved=2)
    assert step.plan.decisions[0].reason is ReasonCode.QUEUE
