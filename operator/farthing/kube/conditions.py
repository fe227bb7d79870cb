"""Conditions: each aspect of a service, pool or budget as true, false or not known. Pure.

`Ready` says whether requests can be served and nothing else; money, latency and capacity have
conditions of their own, so that an exhausted budget never looks like an outage.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from farthing.api.condition import LONGEST_MESSAGE
from farthing.core.capacity import missed_fraction
from farthing.core.domain import (
    BudgetStanding,
    Decision,
    Gap,
    LoadReading,
    Pool,
    ReasonCode,
    Replica,
    ReplicaPhase,
    Workload,
)
from farthing.kube import documents
from farthing.kube.desired import Problem
from farthing.kube.documents import Json

_CAPACITY_REASONS = (ReasonCode.CAPACITY, ReasonCode.POOL_FULL, ReasonCode.NO_POOL)
# A replica that takes this many times as long as its pool usually needs has no effect yet.
_PATIENT_STARTUPS = 3.0


@dataclass(frozen=True, slots=True)
class Aspect:
    """One condition before it is dated. `holds` None means not known."""

    type: str
    holds: bool | None
    reason: str
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the conditions of one service rest on."""

    workload: Workload
    at: datetime
    target: int
    replicas: tuple[Replica, ...]
    pools: tuple[Pool, ...]
    decision: Decision | None
    reading: LoadReading | None
    gaps: tuple[Gap, ...]
    standing: BudgetStanding | None
    problems: tuple[Problem, ...]

    @property
    def ready(self) -> int:
        return sum(1 for r in self.replicas if r.phase is ReplicaPhase.READY)


def of_service(seen: Seen) -> tuple[Aspect, ...]:
    """All conditions of an InferenceService that can be read."""
    return (
        _ready(seen),
        _reconciling(seen),
        stalled(seen.problems),
        _slo_attained(seen),
        within_budget(seen.standing),
        _capacity_available(seen),
        _metrics_available(seen),
        _scaling_effective(seen),
    )


def of_invalid(problem: str) -> tuple[Aspect, ...]:
    """Conditions of an object that cannot be read."""
    return (
        Aspect("Ready", None, "InvalidSpec", "what is wanted cannot be read"),
        Aspect("Stalled", True, "InvalidSpec", problem),
    )


def stalled(problems: Iterable[Problem]) -> Aspect:
    """Whether people have to do something before anything can go on."""
    found = tuple(problems)
    if not found:
        return Aspect("Stalled", False, "Progressing")
    return Aspect("Stalled", True, found[0].reason, "; ".join(one.message for one in found))


def within_budget(standing: BudgetStanding | None) -> Aspect:
    """Whether the period will end within its amount at the present course."""
    if standing is None:
        return Aspect("WithinBudget", None, "NotAccounted")
    if standing.spent >= standing.amount:
        return Aspect("WithinBudget", False, "BudgetSpent", "the period's amount is spent")
    if standing.forecast > standing.amount:
        return Aspect("WithinBudget", False, "ForecastAboveBudget", "more will be spent than given")
    return Aspect("WithinBudget", True, "WithinBudget")


def dated(
    aspects: Iterable[Aspect], before: Json, generation: int | None, at: datetime
) -> list[Json]:
    """Conditions with the time of their last flip, taken from the status before."""
    known = {one.get("type"): one for one in documents.items(before, "conditions")}
    found = []
    for aspect in aspects:
        status = {True: "True", False: "False", None: "Unknown"}[aspect.holds]
        old = known.get(aspect.type, {})
        same = old.get("status") == status and "lastTransitionTime" in old
        condition: Json = {
            "type": aspect.type,
            "status": status,
            "lastTransitionTime": old["lastTransitionTime"] if same else documents.timestamp(at),
            "reason": aspect.reason,
            "message": aspect.message[:LONGEST_MESSAGE],
        }
        if generation is not None:
            condition["observedGeneration"] = generation
        found.append(condition)
    return found


def _ready(seen: Seen) -> Aspect:
    if seen.ready:
        return Aspect("Ready", True, "Serving", "at least one replica answers")
    if seen.replicas:
        return Aspect("Ready", False, "ReplicasStarting", "no replica answers yet")
    return Aspect("Ready", False, "NoReplicas", "there is no replica")


def _reconciling(seen: Seen) -> Aspect:
    if seen.problems:
        return Aspect("Reconciling", False, "Stalled")
    if seen.workload.paused:
        return Aspect("Reconciling", False, "Paused")
    moving = any(r.phase is not ReplicaPhase.READY or r.interrupted_at for r in seen.replicas)
    if seen.ready != seen.target or moving:
        return Aspect("Reconciling", True, "ReplicasChanging", "replicas come or go")
    return Aspect("Reconciling", False, "AsPlanned")


def _slo_attained(seen: Seen) -> Aspect:
    reading, slo = seen.reading, seen.workload.slo
    if reading is None:
        return Aspect("SLOAttained", None, "NoMeasurements", "the latency is not known")
    if reading.latency is None or sum(reading.latency.counts) == 0:
        return Aspect("SLOAttained", None, "NoRequests", "nothing was answered lately")
    if 1 - missed_fraction(reading, slo.latency_s) >= slo.attainment_fraction:
        return Aspect("SLOAttained", True, "WithinSLO")
    return Aspect("SLOAttained", False, "TooManyLate", "too many requests are answered late")


def _capacity_available(seen: Seen) -> Aspect:
    decision = seen.decision
    if decision is None:
        return Aspect("CapacityAvailable", None, "NotDecided")
    if not seen.workload.pools:
        return Aspect("CapacityAvailable", False, ReasonCode.NO_POOL, "no pool is selected")
    short = decision.shortfall
    if short is not None and short.because in _CAPACITY_REASONS:
        return Aspect("CapacityAvailable", False, short.because, f"limited by {short.limited_by}")
    return Aspect("CapacityAvailable", True, "Available")


def _metrics_available(seen: Seen) -> Aspect:
    if seen.reading is not None:
        return Aspect("MetricsAvailable", True, "Measured")
    if seen.gaps:
        return Aspect("MetricsAvailable", False, "Blind", seen.gaps[0].because)
    return Aspect("MetricsAvailable", None, "NothingToMeasure", "no replica can be asked")


def _scaling_effective(seen: Seen) -> Aspect:
    usual_s = {pool.name: pool.startup_prior_s for pool in seen.pools}
    for replica in seen.replicas:
        if replica.phase not in (ReplicaPhase.PENDING, ReplicaPhase.STARTING):
            continue
        waited_s = (seen.at - replica.created_at).total_seconds()
        if waited_s > _PATIENT_STARTUPS * usual_s.get(replica.pool, 180.0):
            return Aspect(
                "ScalingEffective",
                False,
                f"{replica.phase}TooLong",
                f"a replica in pool {replica.pool} takes far longer than usual",
            )
    return Aspect("ScalingEffective", True, "Effective")
