"""Launches that a pool refused: set aside, and tried again after a growing delay."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

from farthing.core.candidates import Mix
from farthing.core.domain import Observation, PoolName, ReplicaPhase, Workload
from farthing.core.policy import Policy
from farthing.core.state import PlannerState, RefusedPool


def refused_pools(
    observation: Observation, policy: Policy, state: PlannerState
) -> tuple[RefusedPool, ...]:
    """Pools where a replica has waited for a node longer than the pool's patience are set aside for a while."""
    pools = {pool.name: pool for pool in observation.pools}
    known = {r.pool: r for r in state.refused_pools}
    for replica in observation.replicas:
        pool = pools.get(replica.pool)
        if pool is None or replica.phase is not ReplicaPhase.PENDING:
            continue
        before = known.get(pool.name)
        if observation.at - replica.created_at < timedelta(seconds=pool.patience_s):
            continue
        if before is None or before.retry_at <= observation.at:
            refusals = 1 if before is None else before.refusals + 1
            wait = timedelta(seconds=policy.minimum_launch_retry_s * 2 ** min(refusals - 1, 6))
            known[pool.name] = RefusedPool(
                pool=pool.name, retry_at=observation.at + wait, refusals=refusals
            )
    return tuple(known[name] for name in sorted(known) if not _recovered(known[name], observation))


def staying(
    workload: Workload, observation: Observation, lasting: Mix, refused: frozenset[PoolName]
) -> Mix:
    """Replicas that go on counting where nothing new is placed: in a refusing pool, those that got a node."""
    waiting = Counter(
        (r.variant, r.pool)
        for r in observation.replicas
        if r.workload == workload.id and r.pool in refused and r.phase is ReplicaPhase.PENDING
    )
    return {key: max(0, count - waiting[key]) for key, count in lasting.items()}


def _recovered(refused: RefusedPool, observation: Observation) -> bool:
    """A replica got a node there since the pool is tried again: what it refused before counts no longer."""
    return refused.retry_at <= observation.at and any(
        r.pool == refused.pool and r.started_at is not None and r.started_at >= refused.retry_at
        for r in observation.replicas
    )
