"""Replicas whose node was given notice: they still serve, but they count no longer.

A replacement is asked for at once, on top of what is wanted; when enough healthy replicas are ready the surplus is
given up, and the host makes the replica under notice the one that leaves.
"""

from __future__ import annotations

from collections import Counter

from farthing.core.candidates import Key, Mix
from farthing.core.domain import Observation, PoolName, ReplicaPhase, Workload, WorkloadId
from farthing.core.state import PlannerState


def surge(workload: Workload, mix: Mix, interrupted: Mix, observation: Observation) -> Mix:
    """Replicas to ask for on top, until as many healthy ones are ready as are wanted."""
    healthy = sum(
        1
        for r in observation.replicas
        if r.workload == workload.id and r.phase is ReplicaPhase.READY and r.interrupted_at is None
    )
    return {} if healthy >= sum(mix.values()) else interrupted


def asked_for(workload: Workload, observation: Observation, state: PlannerState) -> Mix:
    """What the cluster is asked for, without what was asked for on top because of a notice."""
    surges = {(t.variant, t.pool): t.replicas for t in state.surges if t.workload == workload.id}
    counts = {
        (t.variant, t.pool): t.replicas - surges.get((t.variant, t.pool), 0)
        for t in observation.targets
        if t.workload == workload.id
    }
    return {key: count for key, count in counts.items() if count > 0}


def lasting(
    workload: Workload, observation: Observation, state: PlannerState, interrupted: Mix
) -> Mix:
    """Of what the cluster is asked for, the replicas that are not under notice.

    A replica under notice is one of those asked for as long as it lives, and so is its replacement; when it is gone,
    only the memory of the surge tells that one fewer is wanted. Asking for the larger of the two keeps this right when
    that memory is lost: worked number: 4 were wanted, 5 are asked for, 1 of them under notice: 4 last.
    """
    surges = {(t.variant, t.pool): t.replicas for t in state.surges if t.workload == workload.id}
    counts = {
        (t.variant, t.pool): t.replicas
        - max(surges.get((t.variant, t.pool), 0), interrupted.get((t.variant, t.pool), 0))
        for t in observation.targets
        if t.workload == workload.id
    }
    return {key: count for key, count in counts.items() if count > 0}


def under_notice(workload: Workload, observation: Observation) -> Mix:
    """Replicas that still serve, or start, although their node was given notice."""
    return dict(
        Counter(
            (r.variant, r.pool)
            for r in observation.replicas
            if r.workload == workload.id
            and r.interrupted_at is not None
            and r.phase in (ReplicaPhase.READY, ReplicaPhase.STARTING)
        )
    )


def occupied_under_notice(observation: Observation) -> dict[PoolName, int]:
    """Slots that replicas under notice hold until they are gone."""
    slots: dict[tuple[WorkloadId, Key], int] = {
        (w.id, (v.name, p)): v.slots
        for w in observation.workloads
        for v in w.variants
        for p in w.pools
    }
    occupied: Counter[PoolName] = Counter()
    for replica in observation.replicas:
        if replica.interrupted_at is not None:
            occupied[replica.pool] += slots.get(
                (replica.workload, (replica.variant, replica.pool)), 1
            )
    return dict(occupied)
