"""Keep or remove: a replica leaves only when keeping it has cost as much as starting it again would.

An idle replica that is kept pays its price each second; one that is removed too early pays its start-up again, in
money and in late requests. Keeping it for as long as a start takes, and removing it then, never pays more than twice
what knowing the future would have (the ski-rental rule). With memory lost, the waiting begins anew: a restart removes
nothing early.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from farthing.core.candidates import Candidate, Key, Mix
from farthing.core.domain import Observation, PoolName, ReplicaPhase, Workload
from farthing.core.policy import Policy
from farthing.core.state import LoweringIntent, PlannerState


@dataclass(frozen=True, slots=True, kw_only=True)
class Retained:
    """The mix to ask for now, the intentions to lower it, and how many replicas are kept on top of the wanted ones."""

    mix: Mix
    lowering: tuple[LoweringIntent, ...]
    kept: int
    due: frozenset[Key]
    """Places whose surplus was kept long enough."""


def retain(
    workload: Workload,
    wanted: Mix,
    current: Mix,
    candidates: tuple[Candidate, ...],
    observation: Observation,
    state: PlannerState,
    policy: Policy,
    refused: frozenset[PoolName] = frozenset(),
) -> Retained:
    """Lowers `current` towards `wanted` no sooner than the cost of starting again allows, dearest replicas first.

    What waits for a node in a pool that refuses launches has cost nothing yet: it is given up at once.
    """
    by_key = {c.key: c for c in candidates}
    mix = dict(wanted)
    lowering: list[LoweringIntent] = []
    due: set[Key] = set()
    surplus = _healthy_ready(observation, workload) - sum(wanted.values())
    for key in sorted(current, key=lambda k: (-_price(by_key, k), k)):
        waiting = _pending(observation, workload, key) if key[1] in refused else 0
        standing = max(0, current[key] - waiting)
        excess = standing - wanted.get(key, 0)
        if excess <= 0:
            continue
        since = _since(workload, key, observation.at, state)
        lowering.append(
            LoweringIntent(workload=workload.id, variant=key[0], pool=key[1], since=since)
        )
        if observation.at - since < _window(by_key.get(key), policy):
            mix[key] = standing
            continue
        due.add(key)
        # Of those that may go, ready ones go only as far as the others cover what is wanted.
        unready = max(0, standing - _healthy_ready(observation, workload, key))
        removed = min(excess, max(0, surplus) + unready)
        surplus -= max(0, removed - unready)
        mix[key] = standing - removed
    mix = {key: count for key, count in mix.items() if count}
    return Retained(
        mix=mix,
        lowering=tuple(sorted(lowering, key=lambda i: (i.workload, i.variant, i.pool))),
        kept=sum(mix.values()) - sum(wanted.values()),
        due=frozenset(due),
    )


def _since(workload: Workload, key: Key, at: datetime, state: PlannerState) -> datetime:
    for intent in state.lowering:
        if (intent.workload, intent.variant, intent.pool) == (workload.id, *key):
            return intent.since
    return at


def _window(candidate: Candidate | None, policy: Policy) -> timedelta:
    startup_s = candidate.startup_s if candidate is not None else 0.0
    return timedelta(seconds=max(policy.minimum_retention_s, startup_s))


def _price(by_key: dict[Key, Candidate], key: Key) -> float:
    candidate = by_key.get(key)
    # A place that may no longer be used is left first.
    return candidate.keep_per_hour if candidate is not None else float("inf")


def _pending(observation: Observation, workload: Workload, key: Key) -> int:
    return sum(
        1
        for r in observation.replicas
        if r.workload == workload.id
        and (r.variant, r.pool) == key
        and r.phase is ReplicaPhase.PENDING
    )


def _healthy_ready(observation: Observation, workload: Workload, key: Key | None = None) -> int:
    return sum(
        1
        for r in observation.replicas
        if r.workload == workload.id
        and r.phase is ReplicaPhase.READY
        and r.interrupted_at is None
        and (key is None or (r.variant, r.pool) == key)
    )
