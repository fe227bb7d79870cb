"""Plan, beliefs and facts as the status of the resources. Pure.

`worth_writing` keeps statuses quiet: what a controller or a person could act on is written at
once, figures only when they moved and not more often than twice a minute.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Protocol, TypeVar

from farthing import api
from farthing.api import inference_service_status as fields
from farthing.api.fields import number_or_unknown, rounded
from farthing.core import capacity
from farthing.core.domain import (
    BudgetStanding,
    Decision,
    Gap,
    LoadReading,
    Observation,
    ReplicaPhase,
    ServiceProfile,
    WorkloadId,
)
from farthing.core.planner import Step
from farthing.core.profiles import effective
from farthing.core.state import WorkloadSpend
from farthing.kube import conditions, documents, translate
from farthing.kube.desired import Problem
from farthing.kube.documents import Json

_UNFIT = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST_TOKEN = 63


class Tick:
    """One tick's results, looked up by service."""

    def __init__(
        self,
        observation: Observation,
        step: Step,
        problems: Mapping[WorkloadId, tuple[Problem, ...]],
    ) -> None:
        self.observation, self.step, self.problems = observation, step, problems
        self.workloads = {one.id: one for one in observation.workloads}
        self.readings = {one.workload: one for one in observation.readings}
        self.decisions = {one.workload: one for one in step.plan.decisions}
        self.standings = {one.payer: one for one in step.plan.service_budgets}
        self.spends = {one.workload: one for one in step.state.workload_spends}
        self.demand = {one.workload: one for one in step.beliefs.demand}
        self.replicas = _grouped(observation.replicas)
        self.targets = _grouped(step.plan.targets)
        self.estimates = _grouped(step.beliefs.service)
        known = effective(observation, step.state.learned_profiles)
        self.profiles = _grouped(known[key] for key in sorted(known))
        self.gaps: dict[str, list[Gap]] = {}
        for gap in observation.gaps:
            self.gaps.setdefault(gap.subject, []).append(gap)


class _Owned(Protocol):
    @property
    def workload(self) -> WorkloadId: ...


_T = TypeVar("_T", bound=_Owned)


def _grouped(found: Iterable[_T]) -> dict[WorkloadId, tuple[_T, ...]]:
    groups: dict[WorkloadId, list[_T]] = {}
    for one in found:
        groups.setdefault(one.workload, []).append(one)
    return {owner: tuple(group) for owner, group in groups.items()}


def of_service(service: api.InferenceService, before: Json, tick: Tick) -> Json:
    """The status of an InferenceService that could be read."""
    owner = translate.workload_id(service)
    decision = tick.decisions.get(owner)
    reading, standing = tick.readings.get(owner), tick.standings.get(str(owner))
    seen = _seen(owner, tick)
    aspects = conditions.of_service(seen)
    cost = None if decision is None else decision.cost_per_hour
    generation = service.metadata.generation
    status = fields.InferenceServiceStatus(
        observed_generation=generation,
        conditions=_conditions(aspects, before, generation, tick.observation.at),
        replicas=seen.target,
        selector=f"{documents.SERVICE}={owner.name}",
        placements=_placements(owner, tick),
        pools=(decision.chosen if decision else "unknown")[:256],
        cost_per_hour=number_or_unknown(cost),
        cost_per_thousand_requests=_per_thousand(owner, cost, tick),
        latency_milliseconds=_latency(reading, seen.workload.slo.quantile_fraction),
        queue_length=number_or_unknown(None if reading is None else _decimal(reading.queued)),
        profiles=_profiles(owner, tick),
        spend=_spend(tick.spends.get(owner), standing),
        shortfall=_shortfall(decision),
        address=fields.Address(url=f"http://{owner.name}.{owner.namespace}.svc"),
        decision=_decision(decision),
    )
    return status.to_document()


def outline(service: api.InferenceService, tick: Tick) -> object:
    """What of a status has to be told at once, found at a tenth of the cost of the status itself."""
    owner = translate.workload_id(service)
    seen, decision = _seen(owner, tick), tick.decisions.get(owner)
    spend = tick.spends.get(owner)
    return (
        tuple((one.type, one.holds, one.reason) for one in conditions.of_service(seen)),
        None if decision is None else decision.id,
        tick.targets.get(owner),
        Counter((r.variant, r.pool, r.phase) for r in seen.replicas),
        tuple((p.variant, p.hardware, p.provenance) for p in tick.profiles.get(owner, ())),
        None if spend is None else spend.period_start,
    )


def of_pool(pool: api.CapacityPool, before: Json, tick: Tick, ready_slots: int) -> Json:
    """The status of a CapacityPool; `ready_slots` are those of its nodes that are ready."""
    name = pool.metadata.name
    slots = {(w.id, v.name): v.slots for w in tick.observation.workloads for v in w.variants}
    held = [r for r in tick.observation.replicas if r.pool == name]
    used = sum(slots.get((r.workload, r.variant), 1) for r in held if r.started_at is not None)
    waiting = any(r.phase is ReplicaPhase.PENDING for r in held)
    committed = pool.spec.capacity.committed_slots or 0
    refused = next(
        (
            r
            for r in tick.step.state.refused_pools
            if r.pool == name and r.retry_at > tick.observation.at
        ),
        None,
    )
    available = conditions.Aspect("CapacityAvailable", True, "Available")
    if refused is not None:
        retry = documents.timestamp(refused.retry_at)
        message = f"replicas found no node in time; tried again after {retry}"
        available = conditions.Aspect("CapacityAvailable", False, "LaunchesRefused", message)
    elif waiting:
        available = conditions.Aspect("CapacityAvailable", None, "ReplicasWaiting")
    ready = conditions.Aspect("Ready", True, "Usable")
    aspects = (ready, available)
    generation = pool.metadata.generation
    idle = pool.spec.price.per_slot_hour * max(0, committed - used)
    return api.CapacityPoolStatus(
        observed_generation=generation,
        conditions=_conditions(aspects, before, generation, tick.observation.at),
        used_slots=used,
        ready_slots=ready_slots,
        idle_cost_per_hour=number_or_unknown(idle),
    ).to_document()


def invalid(document: Json, problem: str, at: datetime) -> Json:
    """The status of an object that cannot be read: as it was, but for its conditions."""
    before = documents.part(document, "status")
    generation = documents.part(document, "metadata").get("generation")
    aspects = conditions.of_invalid(problem)
    kept = [
        one
        for one in documents.items(before, "conditions")
        if one.get("type") not in ("Ready", "Stalled")
    ]
    return {**before, "conditions": kept + conditions.dated(aspects, before, generation, at)}


def _seen(owner: WorkloadId, tick: Tick) -> conditions.Seen:
    return conditions.Seen(
        workload=tick.workloads[owner],
        at=tick.observation.at,
        target=sum(target.replicas for target in tick.targets.get(owner, ())),
        replicas=tick.replicas.get(owner, ()),
        pools=tick.observation.pools,
        decision=tick.decisions.get(owner),
        reading=tick.readings.get(owner),
        gaps=tuple(tick.gaps.get(str(owner), ())),
        standing=tick.standings.get(str(owner)),
        problems=tick.problems.get(owner, ()),
    )


def _conditions(
    aspects: Iterable[conditions.Aspect], before: Json, generation: int | None, at: datetime
) -> tuple[api.Condition, ...]:
    return tuple(
        api.Condition.model_validate(one)
        for one in conditions.dated(aspects, before, generation, at)
    )


def _placements(owner: WorkloadId, tick: Tick) -> tuple[fields.PlacementStatus, ...]:
    types = {pool.name: pool.capacity_type for pool in tick.observation.pools}
    ready = Counter(
        (r.variant, r.pool) for r in tick.replicas.get(owner, ()) if r.phase is ReplicaPhase.READY
    )
    wanted = {(t.variant, t.pool): t.replicas for t in tick.targets.get(owner, ())}
    return tuple(
        fields.PlacementStatus(
            variant=variant,
            pool=pool,
            capacity_type=types[pool].value,
            target=wanted.get((variant, pool), 0),
            ready=ready[variant, pool],
        )
        for variant, pool in sorted({*ready, *wanted})
        if pool in types and (wanted.get((variant, pool)) or ready[variant, pool])
    )


def _per_thousand(owner: WorkloadId, cost: Decimal | None, tick: Tick) -> str:
    demand = tick.demand.get(owner)
    if cost is None or demand is None or demand.rate_rps <= 0:
        return number_or_unknown(None)
    return number_or_unknown(cost / (_decimal(demand.rate_rps) * Decimal("3.6")), 4)


def _latency(reading: LoadReading | None, fraction: float) -> str:
    seconds = None if reading is None else capacity.quantile_s(reading.latency, fraction)
    return number_or_unknown(None if seconds is None else _decimal(seconds * 1000), 1)


def _profiles(owner: WorkloadId, tick: Tick) -> tuple[fields.ProfileStatus, ...]:
    hardware = {pool.name: pool.hardware for pool in tick.observation.pools}
    rates = {
        (estimate.variant, hardware[estimate.pool]): estimate.rate_rps
        for estimate in tick.estimates.get(owner, ())
        if estimate.pool in hardware
    }
    return tuple(
        _profile(one, rates.get((one.variant, one.hardware)))
        for one in tick.profiles.get(owner, ())
    )


def _profile(profile: ServiceProfile, rate_rps: float | None) -> fields.ProfileStatus:
    return fields.ProfileStatus(
        variant=profile.variant,
        hardware=profile.hardware,
        provenance=profile.provenance.value,
        base_milliseconds=rounded(_decimal(profile.base_s * 1000)),
        per_item_milliseconds=rounded(_decimal(profile.per_item_s * 1000)),
        maximum_batch_size=profile.maximum_batch_size,
        requests_per_second_within_slo=number_or_unknown(
            None if rate_rps is None else _decimal(rate_rps), 2
        ),
    )


def _spend(spend: WorkloadSpend | None, standing: BudgetStanding | None) -> fields.Spend | None:
    if spend is None or standing is None:
        return None
    return fields.Spend(
        period_start=documents.timestamp(spend.period_start),
        charged_until=documents.precise_timestamp(spend.charged_until),
        amount=rounded(spend.amount),
        budget=standing.amount,
        budget_used_percent=number_or_unknown(spend.amount / standing.amount * 100, 1),
        forecast=number_or_unknown(standing.forecast, 4),
        answered_requests=int(spend.answered_requests),
        by_pool=tuple(
            fields.PoolSpend(
                pool=entry.pool,
                capacity_type=entry.capacity_type.value,
                amount=rounded(entry.amount),
            )
            for entry in spend.by_pool
        ),
    )


def _shortfall(decision: Decision | None) -> fields.Shortfall | None:
    short = decision.shortfall if decision else None
    if short is None:
        return None
    return fields.Shortfall(
        missing_per_hour=rounded(short.missing_per_hour), reason=short.because.value
    )


def _decision(decision: Decision | None) -> fields.Decision | None:
    if decision is None:
        return None
    inputs = {_token(one.name): one for one in decision.inputs}
    return fields.Decision(
        id=decision.id,
        at=documents.precise_timestamp(decision.at),
        chosen=decision.chosen[:256],
        cost_per_hour=number_or_unknown(decision.cost_per_hour),
        options=tuple(
            fields.Option(
                plan=option.plan[:256],
                cost_per_hour=number_or_unknown(option.cost_per_hour),
                latency_milliseconds=number_or_unknown(
                    None if option.latency_s is None else _decimal(option.latency_s * 1000), 1
                ),
                verdict="Chosen" if option.chosen else "Rejected",
                reason=option.reason.value,
                message=option.message[:256],
            )
            for option in decision.options[:12]
        ),
        binding_constraint=decision.binding.value,
        reason_code=decision.reason.value,
        message=decision.message[:1024],
        reverses_when=decision.reverses_when[:1024],
        inputs=tuple(
            fields.DecisionInput(
                name=name,
                age_seconds=None if one.age_s is None else max(0, round(one.age_s)),
                gap=None if one.gap is None else one.gap[:256],
            )
            for name, one in list(inputs.items())[:16]
        ),
    )


def _token(name: str) -> str:
    return _UNFIT.sub("-", name)[:_LONGEST_TOKEN].strip("-._") or "input"


def _decimal(number: float) -> Decimal:
    return Decimal(str(number))
