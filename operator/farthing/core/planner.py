"""The one entry point: what was seen and what is remembered in, what should be true and what to remember out.

One tick reads from top to bottom: charge what was used, learn from what was measured, estimate demand and rates,
give capacity and money to the workloads by priority, keep what is dearer to start again, replace what is under
notice, and write down why.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from decimal import Decimal

from farthing.core import (
    allocation,
    candidates,
    capacity,
    demand,
    interruptions,
    launches,
    limits,
    profiles,
    record,
    retention,
    spend,
)
from farthing.core.allocation import Allocation, Limit, Supply
from farthing.core.beliefs import Beliefs, DemandEstimate, ServiceEstimate
from farthing.core.candidates import Candidate, Excluded, Key, Mix
from farthing.core.domain import (
    Change,
    Decision,
    Observation,
    Plan,
    ReasonCode,
    ReplicaPhase,
    Target,
    Workload,
    WorkloadId,
)
from farthing.core.policy import Policy
from farthing.core.state import Correction, DecisionMark, LoweringIntent, PlannerState


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """The result of one tick."""

    plan: Plan
    beliefs: Beliefs
    state: PlannerState


@dataclass(frozen=True, slots=True, kw_only=True)
class _Belief:
    """What is believed of one workload this tick."""

    demand: DemandEstimate | None
    correction: Correction
    usable: tuple[Candidate, ...]
    excluded: tuple[Excluded, ...]
    estimates: tuple[ServiceEstimate, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outcome:
    """What one workload gets."""

    mix: Mix
    surge: Mix
    cost_per_hour: Decimal
    decision: Decision
    mark: DecisionMark
    lowering: tuple[LoweringIntent, ...]


def step(observation: Observation, policy: Policy, state: PlannerState) -> Step:
    """Decides for all workloads at once. Total: missing data holds, impossible demand is named in the plan."""
    state = spend.account(observation, state)
    learned = profiles.learn(observation, state.learned_profiles)
    refused = launches.refused_pools(observation, policy, state)
    state = replace(
        state,
        first_tick_at=state.first_tick_at or observation.at,
        learned_profiles=learned,
        refused_pools=refused,
    )
    beliefs = {w.id: _believe(w, observation, policy, state) for w in observation.workloads}
    per_budget = limits.cluster_limits(observation, policy, state)
    supply = allocation.initial_supply(
        observation.pools, interruptions.occupied_under_notice(observation), per_budget
    )
    outcomes: dict[WorkloadId, _Outcome] = {}
    for workload in sorted(observation.workloads, key=lambda w: (-w.priority, w.id)):
        outcome = _decide(workload, beliefs[workload.id], observation, policy, state, supply)
        outcomes[workload.id] = outcome
        slots = {(v.name, p): v.slots for v in workload.variants for p in workload.pools}
        supply = supply.minus(
            outcome.mix, slots, outcome.cost_per_hour, limits.payers(workload, observation)
        )
    return _assemble(observation, policy, state, beliefs, outcomes, per_budget)


def changes(observation: Observation, plan: Plan) -> tuple[Change, ...]:
    """The difference between what the cluster is asked for and what the plan wants; increases first."""
    asked = {(t.workload, t.variant, t.pool): t.replicas for t in observation.targets}
    found = [
        Change(
            workload=t.workload,
            variant=t.variant,
            pool=t.pool,
            from_replicas=asked.get((t.workload, t.variant, t.pool), 0),
            to_replicas=t.replicas,
        )
        for t in plan.targets
        if t.replicas != asked.get((t.workload, t.variant, t.pool), 0)
    ]
    return tuple(
        sorted(
            found, key=lambda c: (c.to_replicas < c.from_replicas, c.workload, c.variant, c.pool)
        )
    )


def _believe(
    workload: Workload, observation: Observation, policy: Policy, state: PlannerState
) -> _Belief:
    known = profiles.effective(observation, state.learned_profiles)
    pools = {pool.name: pool for pool in observation.pools}
    ready = capacity.ready_count(observation, workload.id)
    startup_s = max((pools[p].startup_prior_s for p in workload.pools if p in pools), default=0.0)
    wanted = demand.estimate(workload, observation, policy, ready, startup_s)
    dispersion = wanted.dispersion if wanted is not None else 1.0
    modelled = {
        (v.name, p): capacity.estimate(workload, v, pools[p], known, dispersion, 1.0)
        for v in workload.variants
        for p in workload.pools
        if p in pools
    }
    total = sum(
        modelled[r.variant, r.pool].rate_rps or 0.0
        for r in observation.replicas
        if r.workload == workload.id
        and r.phase is ReplicaPhase.READY
        and (r.variant, r.pool) in modelled
    )
    correction = capacity.correct(workload, observation, policy, state, wanted, total)
    estimates = tuple(
        replace(e, rate_rps=None if e.rate_rps is None else e.rate_rps * correction.factor)
        for e in modelled.values()
    )
    refused = frozenset(r.pool for r in state.refused_pools if r.retry_at > observation.at)
    usable, excluded = candidates.list_candidates(
        workload, observation.pools, estimates, refused, policy
    )
    return _Belief(
        demand=wanted, correction=correction, usable=usable, excluded=excluded, estimates=estimates
    )


def _decide(
    workload: Workload,
    belief: _Belief,
    observation: Observation,
    policy: Policy,
    state: PlannerState,
    supply: Supply,
) -> _Outcome:
    current = _current(workload, observation, state)
    interrupted = interruptions.under_notice(workload, observation)
    money = limits.money_limit(
        workload, belief.usable, belief.demand, observation, policy, state, supply
    )
    found: Allocation | None = None
    lowering: tuple[LoweringIntent, ...] = ()
    kept = 0
    if workload.paused:
        mix, reason = current, ReasonCode.PAUSED
    elif (sizing := _sizing_rps(workload, belief, current, observation)) is None:
        mix, reason = _held(workload, belief, current, supply, money), ReasonCode.HELD_ON_GAP
    else:
        running = {key: max(0, count - interrupted.get(key, 0)) for key, count in current.items()}
        found = allocation.allocate(
            *_bounded(workload, belief.usable), running, sizing, supply, money
        )
        retained = retention.retain(
            workload, found.mix, current, belief.usable, observation, state, policy
        )
        mix = allocation.cut_to_money(retained.mix, belief.usable, money)
        lowering, kept = retained.lowering, sum(mix.values()) - sum(found.mix.values())
        reason = _reason(workload, found, current, mix, kept, belief.demand)
    surge = {} if workload.paused else interruptions.surge(workload, mix, interrupted, observation)
    verdict = record.Verdict(
        mix=mix,
        current=current,
        allocation=found,
        reason=reason,
        kept=max(0, kept),
        interrupted=sum(interrupted.values()),
    )
    decision, mark = record.record(
        workload, verdict, belief.usable, belief.excluded, belief.demand, observation, state
    )
    return _Outcome(
        mix=mix,
        surge=surge,
        cost_per_hour=decision.cost_per_hour,
        decision=decision,
        mark=mark,
        lowering=lowering,
    )


def _sizing_rps(
    workload: Workload, belief: _Belief, current: Mix, observation: Observation
) -> float | None:
    """What capacity is sized for, or None to hold.

    Before anything was ever asked for, the minimum is; without any profile, one replica is added at a time while the
    queue or the latency says so, in units of the (unknown) rate of one replica, for which 1.0 stands in.
    """
    total = sum(current.values())
    if total == 0:
        return _unit(belief) * workload.min_replicas
    if workload.external_replicas is not None:
        return _unit(belief) * workload.external_replicas
    if belief.demand is None:
        return None
    if any(c.rate_rps for c in belief.usable):
        return belief.demand.sizing_rps
    starting = total - capacity.ready_count(observation, workload.id)
    reading = next(r for r in observation.readings if r.workload == workload.id)
    pressed = belief.demand.backlog_rps > 0 or capacity.missed_fraction(
        reading, workload.slo.latency_s
    ) > (1 - workload.slo.quantile_fraction)
    return float(total + 1) if pressed and starting <= 0 else float(total)


def _unit(belief: _Belief) -> float:
    return min((c.rate_rps for c in belief.usable if c.rate_rps), default=1.0)


def _bounded(
    workload: Workload, usable: tuple[Candidate, ...]
) -> tuple[Workload, tuple[Candidate, ...]]:
    """Gives places without any known rate the unit rate, and an outside autoscaler its exact count."""
    if not any(c.rate_rps for c in usable):
        usable = tuple(replace(c, rate_rps=1.0) for c in usable)
    if workload.external_replicas is not None:
        count = workload.external_replicas
        workload = replace(workload, min_replicas=count, max_replicas=count)
    return workload, usable


def _held(
    workload: Workload, belief: _Belief, current: Mix, supply: Supply, money: Limit | None
) -> Mix:
    """Holding changes nothing, but a limit of money stays a limit."""
    return allocation.cut_to_money(current, belief.usable, money)


def _reason(
    workload: Workload,
    found: Allocation,
    current: Mix,
    mix: Mix,
    kept: int,
    wanted: DemandEstimate | None,
) -> ReasonCode:
    tight = (
        ReasonCode.SERVICE_BUDGET,
        ReasonCode.CLUSTER_BUDGET,
        ReasonCode.CAPACITY,
        ReasonCode.COST_PER_REQUEST,
    )
    if found.binding in (*tight, ReasonCode.NO_POOL, ReasonCode.MAX_REPLICAS):
        return found.binding
    if workload.external_replicas is not None:
        return ReasonCode.EXTERNAL
    if kept > 0:
        return ReasonCode.RETAINED
    if wanted is not None and wanted.backlog_rps > 0:
        return ReasonCode.QUEUE
    return ReasonCode.CHEAPEST if mix != current else ReasonCode.WITHIN_SLO


def _current(workload: Workload, observation: Observation, state: PlannerState) -> Mix:
    surges = {(t.workload, t.variant, t.pool): t.replicas for t in state.surges}
    counts = {
        (t.variant, t.pool): t.replicas - surges.get((t.workload, t.variant, t.pool), 0)
        for t in observation.targets
        if t.workload == workload.id
    }
    return {key: count for key, count in counts.items() if count > 0}


def _assemble(
    observation: Observation,
    policy: Policy,
    state: PlannerState,
    beliefs: dict[WorkloadId, _Belief],
    outcomes: dict[WorkloadId, _Outcome],
    per_budget: limits.Limits,
) -> Step:
    ordered = [outcomes[key] for key in sorted(outcomes)]
    plan = Plan(
        at=observation.at,
        targets=_targets(observation, outcomes),
        decisions=tuple(o.decision for o in ordered),
        service_budgets=tuple(
            limits.service_standing(w, observation, policy, state, outcomes[w.id].cost_per_hour)
            for w in sorted(observation.workloads, key=lambda w: w.id)
        ),
        cluster_budgets=limits.cluster_standings(
            observation, state, {key: o.cost_per_hour for key, o in outcomes.items()}, per_budget
        ),
    )
    return Step(
        plan=plan,
        beliefs=Beliefs(
            demand=tuple(b.demand for _, b in sorted(beliefs.items()) if b.demand is not None),
            service=tuple(e for _, b in sorted(beliefs.items()) for e in b.estimates),
        ),
        state=replace(
            state,
            corrections=tuple(b.correction for _, b in sorted(beliefs.items())),
            lowering=tuple(intent for o in ordered for intent in o.lowering),
            surges=tuple(
                Target(workload=o.decision.workload, variant=key[0], pool=key[1], replicas=count)
                for o in ordered
                for key, count in sorted(o.surge.items())
            ),
            decided=tuple(o.mark for o in ordered),
        ),
    )


def _targets(observation: Observation, outcomes: dict[WorkloadId, _Outcome]) -> tuple[Target, ...]:
    """Wanted counts with their surges; places asked for something now that should not be are named with zero."""
    counts: Counter[tuple[WorkloadId, Key]] = Counter()
    for target in observation.targets:
        if target.workload in outcomes:
            counts[target.workload, (target.variant, target.pool)] += 0
    for workload, outcome in outcomes.items():
        for part in (outcome.mix, outcome.surge):
            for key, count in part.items():
                counts[workload, key] += count
    return tuple(
        Target(workload=workload, variant=variant, pool=pool, replicas=count)
        for (workload, (variant, pool)), count in sorted(counts.items())
    )
