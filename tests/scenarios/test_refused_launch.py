"""A pool that gives no node is set aside for a while, and what serves there stays."""

from __future__ import annotations

from tests.builders import (
    AT,
    SPOT,
    after,
    decide,
    observation,
    reading,
    replicas,
    running,
    spot,
    targets,
    workload,
)

from farthing.core.domain import ReasonCode, ReplicaPhase
from farthing.core.state import PlannerState, RefusedPool

WAITING = {"phase": ReplicaPhase.PENDING, "started_at": None, "ready_at": None}


def test_what_a_pool_refuses_is_placed_in_another_and_its_pending_replicas_are_given_up() -> None:
    pending = tuple(r for r in replicas(4, SPOT, created_at=after(-601), **WAITING))
    seen = observation(
        readings=(reading(400),),
        **running(reserved=2)
        | {
            "replicas": running(reserved=2)["replicas"] + pending,
            "targets": targets(reserved=2, spot=4),
        },
    )
    step = decide(seen)
    assert step.plan.targets == targets(reserved=2, spot=0, on_demand=4)
    assert step.state.refused_pools == (RefusedPool(pool=SPOT, retry_at=after(120), refusals=1),)
    assert ReasonCode.SET_ASIDE in {o.reason for o in step.plan.decisions[0].options}


def test_what_serves_in_a_refusing_pool_stays() -> None:
    refused = PlannerState(
        first_tick_at=AT, refused_pools=(RefusedPool(pool=SPOT, retry_at=after(60), refusals=1),)
    )
    seen = observation(readings=(reading(400),), **running(reserved=2, spot=3))
    step = decide(seen, refused)
    assert step.plan.targets == targets(reserved=2, spot=3, on_demand=1)


def test_a_service_survives_when_its_only_pool_refuses() -> None:
    refused = PlannerState(
        first_tick_at=AT, refused_pools=(RefusedPool(pool=SPOT, retry_at=after(60), refusals=1),)
    )
    seen = observation(
        workloads=(workload(pools=(SPOT,)),),
        pools=(spot(),),
        readings=(reading(400),),
        **running(spot=3),
    )
    assert decide(seen, refused).plan.targets == targets(spot=3)


def test_a_pool_is_tried_again_when_its_time_has_come() -> None:
    refused = PlannerState(
        first_tick_at=AT, refused_pools=(RefusedPool(pool=SPOT, retry_at=AT, refusals=1),)
    )
    seen = observation(readings=(reading(400),), **running(reserved=2))
    assert decide(seen, refused).plan.targets == targets(reserved=2, spot=4)
