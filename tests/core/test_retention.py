from __future__ import annotations

from typing import Any

import pytest
from tests.builders import (
    AT,
    FP32,
    ON_DEMAND,
    SENTIMENT,
    SPOT,
    after,
    observation,
    on_demand,
    replicas,
    spot,
    workload,
)

from farthing.core.allocation import Mix
from farthing.core.candidates import Candidate
from farthing.core.domain import Observation, ReplicaPhase
from farthing.core.policy import Policy
from farthing.core.retention import Retained, retain
from farthing.core.state import LoweringIntent, PlannerState

SPOTS, DEAR = (FP32, SPOT), (FP32, ON_DEMAND)


def place(pool: Any, startup_s: float = 100.0) -> Candidate:
    price = pool.price_per_slot_hour
    return Candidate(
        variant=FP32,
        pool=pool,
        slots=1,
        rate_rps=75.0,
        latency_s=None,
        startup_s=startup_s,
        effective_per_hour=price,
        keep_per_hour=float(price),
        new_per_hour=float(price),
    )


PLACES = (place(spot()), place(on_demand()))


def intent(key: tuple[Any, Any], second: float) -> LoweringIntent:
    return LoweringIntent(workload=SENTIMENT, variant=key[0], pool=key[1], since=after(second))


def retained(
    wanted: Mix,
    current: Mix,
    *intents: LoweringIntent,
    seen: Observation | None = None,
    **more: Any,
) -> Retained:
    there = tuple(r for (_, name), count in current.items() for r in replicas(count, name))
    return retain(
        workload(),
        wanted,
        current,
        more.pop("places", PLACES),
        seen or observation(replicas=there),
        PlannerState(lowering=intents),
        Policy(),
        **more,
    )


def test_a_first_lower_target_is_remembered_and_nothing_leaves() -> None:
    assert retained({SPOTS: 1}, {SPOTS: 3}) == Retained(
        mix={SPOTS: 3}, lowering=(intent(SPOTS, 0),), kept=2, due=frozenset()
    )


@pytest.mark.parametrize(("since", "left"), [(-99, 3), (-100, 1)])
def test_surplus_leaves_after_the_time_of_a_start(since: float, left: int) -> None:
    found = retained({SPOTS: 1}, {SPOTS: 3}, intent(SPOTS, since))
    assert found.mix == {SPOTS: left}
    assert found.lowering == (intent(SPOTS, since),)
    assert found.due == (frozenset({SPOTS}) if left == 1 else frozenset())


def test_a_place_that_may_no_longer_be_used_is_left_after_the_shortest_time() -> None:
    found = retained({DEAR: 2}, {SPOTS: 2, DEAR: 2}, intent(SPOTS, -60), places=PLACES[1:])
    assert found.mix == {DEAR: 2}


def test_of_several_surpluses_the_dearest_goes_first() -> None:
    # Four are ready for three: one may go, and it is the one on demand.
    found = retained(
        {SPOTS: 2, (FP32, SPOT.__class__("new")): 1},
        {SPOTS: 3, DEAR: 1},
        intent(SPOTS, -999),
        intent(DEAR, -999),
    )
    assert found.mix[SPOTS] == 3
    assert DEAR not in found.mix


def test_what_is_not_ready_may_always_go() -> None:
    there = (*replicas(1), *replicas(2, ON_DEMAND, phase=ReplicaPhase.STARTING))
    found = retained(
        {SPOTS: 2}, {SPOTS: 1, DEAR: 2}, intent(DEAR, -999), seen=observation(replicas=there)
    )
    assert found.mix == {SPOTS: 2}


def test_replicas_under_notice_do_not_cover_what_is_wanted() -> None:
    there = (*replicas(2, interrupted_at=AT), *replicas(2, ON_DEMAND))
    found = retained(
        {SPOTS: 2}, {SPOTS: 2, DEAR: 2}, intent(DEAR, -999), seen=observation(replicas=there)
    )
    assert found.mix == {SPOTS: 2, DEAR: 2}


def test_what_waits_in_a_refusing_pool_is_given_up_at_once_and_the_rest_is_kept() -> None:
    there = (*replicas(1), *replicas(2, phase=ReplicaPhase.PENDING))
    found = retained(
        {DEAR: 3}, {SPOTS: 3}, seen=observation(replicas=there), refused=frozenset({SPOT})
    )
    assert found.mix == {SPOTS: 1, DEAR: 3}


def test_intents_of_others_say_nothing() -> None:
    stranger = LoweringIntent(
        workload=SENTIMENT.__class__(namespace="x", name="y"),
        variant=FP32,
        pool=SPOT,
        since=after(-999),
    )
    assert retained({SPOTS: 1}, {SPOTS: 3}, stranger).mix == {SPOTS: 3}
