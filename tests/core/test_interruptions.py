from __future__ import annotations

import pytest
from tests.builders import AT, FP32, SPOT, observation, replicas, target, workload

from farthing.core.domain import ReplicaPhase, Variant, WorkloadId
from farthing.core.interruptions import (
    asked_for,
    lasting,
    occupied_under_notice,
    surge,
    under_notice,
)
from farthing.core.state import PlannerState

KEY = (FP32, SPOT)


@pytest.mark.parametrize(
    ("phase", "counts"),
    [
        (ReplicaPhase.READY, {KEY: 2}),
        (ReplicaPhase.STARTING, {KEY: 2}),
        # It is leaving already, or has no node to lose.
        (ReplicaPhase.DRAINING, {}),
        (ReplicaPhase.PENDING, {}),
    ],
)
def test_replicas_that_serve_or_start_under_notice_are_to_be_replaced(
    phase: ReplicaPhase, counts: object
) -> None:
    there = replicas(2, interrupted_at=AT, phase=phase)
    assert under_notice(workload(), observation(replicas=there)) == counts


@pytest.mark.parametrize(
    ("asked", "remembered", "noticed", "last"),
    [
        (4, 0, 0, 4),
        (4, 0, 1, 3),  # just noticed
        (5, 1, 1, 4),  # its replacement is asked for
        (5, 1, 0, 4),  # it is gone
        (5, 0, 1, 4),  # the memory is lost
        (5, 1, 2, 3),  # a second notice
        (1, 0, 1, 0),
    ],
)
def test_what_lasts_is_what_is_asked_for_without_those_under_notice(
    asked: int, remembered: int, noticed: int, last: int
) -> None:
    stranger = target(9, workload=WorkloadId(namespace="x", name="y"))
    seen = observation(targets=(target(asked), stranger))
    state = PlannerState(surges=(target(remembered),))
    found = lasting(workload(), seen, state, {KEY: noticed})
    assert found == ({KEY: last} if last else {})
    assert asked_for(workload(), seen, state) == {KEY: asked - remembered}


def test_a_surge_is_asked_for_until_enough_healthy_replicas_are_ready() -> None:
    there = replicas(3)
    seen = observation(replicas=there)
    assert surge(workload(), {KEY: 4}, {KEY: 1}, seen) == {KEY: 1}
    assert surge(workload(), {KEY: 3}, {KEY: 1}, seen) == {}


def test_slots_under_notice_are_occupied_until_the_replica_is_gone() -> None:
    wide = workload(variants=(Variant(name=FP32, slots=4),))
    stranger = replicas(1, workload=WorkloadId(namespace="x", name="y"), interrupted_at=AT)
    there = (*replicas(2, interrupted_at=AT, phase=ReplicaPhase.DRAINING), *stranger, *replicas(3))
    assert occupied_under_notice(observation(workloads=(wide,), replicas=there)) == {SPOT: 9}
