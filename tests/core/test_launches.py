from __future__ import annotations

import pytest
from tests.builders import FP32, ON_DEMAND, SPOT, after, observation, replicas, workload

from farthing.core.domain import ReplicaPhase
from farthing.core.launches import refused_pools, staying
from farthing.core.policy import Policy
from farthing.core.state import PlannerState, RefusedPool

POLICY = Policy()
WAITING = {"phase": ReplicaPhase.PENDING, "started_at": None, "ready_at": None}


def refused(waited_s: float, *known: RefusedPool) -> tuple[RefusedPool, ...]:
    pending = replicas(2, created_at=after(-waited_s), **WAITING)
    state = PlannerState(refused_pools=known)
    return refused_pools(observation(replicas=pending), POLICY, state)


def mark(retry_s: float, refusals: int = 1) -> RefusedPool:
    return RefusedPool(pool=SPOT, retry_at=after(retry_s), refusals=refusals)


@pytest.mark.parametrize(("waited_s", "found"), [(599, ()), (600, (mark(120),))])
def test_a_pool_refuses_when_its_patience_is_over(
    waited_s: float, found: tuple[RefusedPool, ...]
) -> None:
    assert refused(waited_s) == found


def test_the_same_wait_is_one_refusal_until_the_pool_is_tried_again() -> None:
    assert refused(700, mark(20)) == (mark(20),)


@pytest.mark.parametrize(
    ("refusals", "wait_s"), [(1, 240), (2, 480), (5, 3840), (6, 7680), (7, 7680), (40, 7680)]
)
def test_each_refusal_doubles_the_wait_up_to_two_hours(refusals: int, wait_s: float) -> None:
    assert refused(700, mark(0, refusals)) == (mark(wait_s, refusals + 1),)


def test_a_node_that_was_given_since_makes_good() -> None:
    there = replicas(1, started_at=after(-5))
    state = PlannerState(refused_pools=(mark(-10, 3),))
    assert refused_pools(observation(replicas=there), POLICY, state) == ()


@pytest.mark.parametrize(("retry_s", "started_s"), [(-10, -20), (10, -5)])
def test_a_node_of_before_does_not(retry_s: float, started_s: float) -> None:
    there = replicas(1, started_at=after(started_s))
    state = PlannerState(refused_pools=(mark(retry_s),))
    assert refused_pools(observation(replicas=there), POLICY, state) == (mark(retry_s),)


def test_a_pool_that_is_gone_is_not_waited_for() -> None:
    pending = replicas(1, created_at=after(-9999), **WAITING)
    seen = observation(replicas=pending, pools=())
    assert refused_pools(seen, POLICY, PlannerState()) == ()


def test_what_waits_in_a_refusing_pool_does_not_stay() -> None:
    there = (*replicas(2), *replicas(3, ON_DEMAND, **WAITING), *replicas(1, **WAITING))
    lasting = {(FP32, SPOT): 3, (FP32, ON_DEMAND): 3}
    assert staying(workload(), observation(replicas=there), lasting, frozenset({SPOT})) == {
        (FP32, SPOT): 2,
        (FP32, ON_DEMAND): 3,
    }
