"""Replicas whose node was given notice: they still serve, but they count no longer.

A replacement is asked for at once, on top of what is wanted; when enough healthy replicas are ready the surplus is
given up, and the host makes the replica under notice the one that leaves.
"""

from __future__ import annotations

from collections import Counter

from farthing.core.candidates import Key, Mix
from farthing.core.domain import Observation, PoolName, ReplicaPhase, Workload, WorkloadId


def surge(workload: Workload, mix: Mix, interrupted: Mix, observation: Observation) -> Mix:
    """Replicas to ask for on top, until as many healthy ones are ready as are wanted."""
    healthy = sum(
        1
        for r in observation.replicas
        if r.workload == workload.id and r.phase is ReplicaPhase.READY and r.interrupted_at is None
    )
    return {} if healthy >= sum(mix.values()) else interrupted


def under_notice(workload: Workload, observation: Observation) -> Mix:
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
