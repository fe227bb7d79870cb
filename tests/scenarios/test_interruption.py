"""A notice is answered in the tick that sees it, and a replacement is given up when it has replaced."""

from __future__ import annotations

from dataclasses import replace

from tests.builders import (
    AT,
    ON_DEMAND,
    RESERVED,
    SPOT,
    after,
    decide,
    observation,
    on_demand,
    reading,
    replicas,
    reserved,
    running,
    spot,
    targets,
    workload,
)

from farthing.core.domain import Replica, ReplicaPhase, Target
from farthing.core.planner import Step
from farthing.core.state import PlannerState

# 207.3 requests/s: reserved 2, spot 1; 410.4: reserved 2, spot 4.
STEADY = {"reserved": 2, "spot": 4}
INTERRUPTED, *HEALTHY = replicas(4, SPOT)
INTERRUPTED = replace(INTERRUPTED, interrupted_at=AT)
NEW = replace(INTERRUPTED, name="new", interrupted_at=None, phase=ReplicaPhase.STARTING)


def tick(
    second: float,
    spots: list[Replica],
    asked: tuple[Target, ...],
    state: PlannerState | None = None,
    **changes: object,
) -> Step:
    at = after(second)
    seen = {
        "at": at,
        "replicas": (*replicas(2, RESERVED), *spots),
        "targets": asked,
        "readings": (reading(400, ends_at=at),),
    }
    return decide(observation(**seen | changes), state)


def test_a_replacement_is_asked_for_in_the_same_tick() -> None:
    step = tick(1, [INTERRUPTED, *HEALTHY], targets(**STEADY))
    assert step.plan.targets == targets(reserved=2, spot=5)


def test_a_replacement_is_asked_for_once() -> None:
    first = tick(1, [INTERRUPTED, *HEALTHY], targets(**STEADY))
    second = tick(2, [INTERRUPTED, *HEALTHY, NEW], first.plan.targets, first.state)
    third = tick(3, [INTERRUPTED, *HEALTHY, NEW], second.plan.targets, second.state)
    assert third.plan.targets == targets(reserved=2, spot=5)


def test_the_surge_is_given_up_when_the_replacement_is_ready() -> None:
    first = tick(1, [INTERRUPTED, *HEALTHY], targets(**STEADY))
    ready = replace(NEW, phase=ReplicaPhase.READY)
    second = tick(25, [INTERRUPTED, *HEALTHY, ready], first.plan.targets, first.state)
    assert second.plan.targets == targets(**STEADY)
    # The host takes the one under notice; until it has, and after, nothing changes.
    third = tick(26, [INTERRUPTED, *HEALTHY, ready], second.plan.targets, second.state)
    fourth = tick(27, [*HEALTHY, ready], third.plan.targets, third.state)
    assert third.plan.targets == fourth.plan.targets == targets(**STEADY)


def test_a_node_that_is_gone_leaves_no_duplicate() -> None:
    first = tick(1, [INTERRUPTED, *HEALTHY], targets(**STEADY))
    gone = tick(31, [*HEALTHY, NEW], first.plan.targets, first.state)
    assert gone.plan.targets == targets(**STEADY)


def test_a_lost_memory_asks_for_no_second_replacement() -> None:
    first = tick(1, [INTERRUPTED, *HEALTHY], targets(**STEADY))
    restarted = tick(2, [INTERRUPTED, *HEALTHY, NEW], first.plan.targets)
    assert restarted.plan.targets == targets(reserved=2, spot=5)


def test_a_second_notice_is_answered_on_top_of_the_first() -> None:
    first = tick(1, [INTERRUPTED, *HEALTHY], targets(**STEADY))
    also = replace(HEALTHY[0], interrupted_at=after(2))
    second = tick(2, [INTERRUPTED, also, *HEALTHY[1:], NEW], first.plan.targets, first.state)
    assert second.plan.targets == targets(reserved=2, spot=6)


def test_a_notice_is_answered_while_measurements_are_missing() -> None:
    state = None
    asked = targets(**STEADY)
    for second in (1, 2, 3):
        step = tick(second, [INTERRUPTED, *HEALTHY], asked, state, readings=())
        asked, state = step.plan.targets, step.state
        assert asked == targets(reserved=2, spot=5)
    gone = tick(31, [*HEALTHY, NEW], asked, state, readings=())
    assert gone.plan.targets == targets(**STEADY)


def test_a_full_pool_has_its_replacement_elsewhere() -> None:
    # The interrupted replica holds one of four slots until it is gone.
    pools = (reserved(), spot(maximum_slots=4), on_demand())
    step = tick(1, [INTERRUPTED, *HEALTHY], targets(**STEADY), pools=pools)
    assert step.plan.targets == targets(reserved=2, spot=4, on_demand=1)


def test_an_interruption_is_answered_at_the_maximum_of_replicas() -> None:
    full = workload(max_replicas=6)
    step = tick(1, [INTERRUPTED, *HEALTHY], targets(**STEADY), workloads=(full,))
    assert step.plan.targets == targets(reserved=2, spot=5)


def test_no_replacement_where_enough_healthy_replicas_are_ready() -> None:
    seen = observation(
        workloads=(workload(pools=(SPOT, ON_DEMAND)),),
        readings=(reading(100),),
        **running(spot=4) | {"replicas": (INTERRUPTED, *HEALTHY)},
    )
    # 105.2: two are wanted, three are healthy: the surplus is kept, the one under notice leaves without one after it.
    step = decide(seen)
    assert step.plan.targets == targets(spot=3)
    assert step.plan.decisions[0].message.endswith(
        "1 kept until starting again would be cheaper than keeping; "
        "1 under interruption notice, replacements asked for"
    )
