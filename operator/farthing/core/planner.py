"""The one entry point: what was seen and what is remembered in, what should be true and what to remember out.

One tick reads from top to bottom: charge what was used, learn from what was measured, estimate demand and rates,
give capacity and money to the workloads by priority, keep what is dearer to start again, replace what is under
notice, and write down why.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from decimal import Decimal

from farthing.core import (
    allocation,
    candidates,
    interruptions,
    launches,
    limits,
    profiles,
    record,
    retention,
    spend,
    transition,
)
from farthing.core.allocation import Allocation, Limit, Supply
from farthing.core.assessment import Assessment, assess, bounded, hopeless
from farthing.core.beliefs import Beliefs
from farthing.core.candidates import Key, Mix
from farthing.core.domain import (
    Change,
    Decision,
    Observation,
    Plan,
    ReasonCode,
    Target,
    Workload,
    WorkloadId,
)
from farthing.core.policy import Policy
from farthing.core.state import DecisionMark, LoweringIntent, PlannerState


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """The result of one tick."""

    plan: Plan
    beliefs: Beliefs
    state: PlannerState


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
    known = profiles.effective(observation, state.learned_profiles)
    own = _by_workload(observation)
    beliefs = {w.id: assess(w, own[w.id], policy, state, known) for w in observation.workloads}
    per_budget = limits.cluster_limits(observation, policy, state)
    supply = _supply(observation, beliefs, per_budget)
    outcomes: dict[WorkloadId, _Outcome] = {}
    for workload in sorted(observation.workloads, key=lambda w: (-w.priority, w.id)):
        outcome = _decide(workload, beliefs[workload.id], own[workload.id], policy, state, supply)
        outcomes[workload.id] = outcome
        taken = {} if beliefs[workload.id].stands else outcome.mix
        supply = supply.minus(
            taken,
            _slots(workload, observation),
            outcome.cost_per_hour,
            limits.payers(workload, observation),
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


def _by_workload(observation: Observation) -> dict[WorkloadId, Observation]:
    """What concerns each workload alone, so that many of them are not each looked for among all."""
    replicas, targets, readings = defaultdict(list), defaultdict(list), defaultdict(list)
    for replica in observation.replicas:
        replicas[replica.workload].append(replica)
    for target in observation.targets:
        targets[target.workload].append(target)
    for reading in observation.readings:
        readings[reading.workload].append(reading)
    return {
        w.id: replace(
            observation,
            replicas=tuple(replicas[w.id]),
            targets=tuple(targets[w.id]),
            readings=tuple(readings[w.id]),
        )
        for w in observation.workloads
    }


def _supply(
    observation: Observation, beliefs: dict[WorkloadId, Assessment], per_budget: limits.Limits
) -> Supply:
    """What there is to give; what is held or paused keeps the slots that it has, whoever else asks for them."""
    supply = allocation.initial_supply(
        observation.pools, interruptions.occupied_under_notice(observation), per_budget
    )
    for workload in observation.workloads:
        if beliefs[workload.id].stands:
            supply = supply.minus(
                beliefs[workload.id].lasting,
                _slots(workload, observation),
                Decimal(0),
                frozenset(),
            )
    return supply


def _slots(workload: Workload, observation: Observation) -> dict[Key, int]:
    return {(v.name, p.name): v.slots for v in workload.variants for p in observation.pools}


def _decide(
    workload: Workload,
    belief: Assessment,
    observation: Observation,
    policy: Policy,
    state: PlannerState,
    supply: Supply,
) -> _Outcome:
    sized, usable = bounded(workload, belief.usable)
    prices = candidates.prices(workload, observation.pools)
    money = limits.money_limit(sized, usable, belief.demand, observation, policy, state, supply)
    found: Allocation | None = None
    lowering: tuple[LoweringIntent, ...] = ()
    kept = 0
    if workload.paused:
        mix, reason = belief.asked, ReasonCode.PAUSED
    elif belief.sizing_rps is None:
        # Holding changes nothing, but a limit of money stays a limit.
        mix, reason = (
            allocation.cut_to_money(belief.asked, prices, money),
            ReasonCode.HELD_ON_GAP,
        )
    else:
        found = allocation.allocate(sized, usable, belief.lasting, belief.sizing_rps, supply, money)
        mix, lowering = _moved(sized, belief, found, observation, policy, state, supply, money)
        kept = sum(mix.values()) - sum(found.mix.values())
        reason = _reason(workload, found, belief, mix, kept)
    surge = (
        {}
        if workload.paused
        else interruptions.surge(workload, mix, belief.interrupted, observation)
    )
    verdict = record.Verdict(
        mix=mix,
        current=belief.asked,
        allocation=found,
        reason=reason,
        kept=max(0, kept),
        interrupted=sum(belief.interrupted.values()),
        prices=prices,
    )
    decision, mark = record.record(
        workload, verdict, usable, belief.excluded, belief.demand, observation, state
    )
    return _Outcome(
        mix=mix,
        surge=surge,
        cost_per_hour=decision.cost_per_hour,
        decision=decision,
        mark=mark,
        lowering=lowering,
    )


def _moved(
    workload: Workload,
    belief: Assessment,
    found: Allocation,
    observation: Observation,
    policy: Policy,
    state: PlannerState,
    supply: Supply,
    money: Limit | None,
) -> tuple[Mix, tuple[LoweringIntent, ...]]:
    """The way from what runs to what was found: what is kept for now, within every limit."""
    refused = frozenset(r.pool for r in state.refused_pools if r.retry_at > observation.at)
    retained = retention.retain(
        workload, found.mix, belief.lasting, belief.usable, observation, state, policy, refused
    )
    bounds = transition.Bounds(
        max_replicas=workload.max_replicas,
        free_slots=supply.slots,
        money=money,
        prices=candidates.prices(workload, observation.pools),
        slots=_slots(workload, observation),
    )
    mix = transition.fit(found.mix, belief.lasting, retained.mix, retained.due, bounds)
    return mix, retained.lowering


def _reason(
    workload: Workload,
    found: Allocation,
    belief: Assessment,
    mix: Mix,
    kept: int,
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
    if hopeless(belief):
        return ReasonCode.MISSES_SLO
    if kept > 0:
        return ReasonCode.RETAINED
    if belief.demand is not None and belief.demand.backlog_rps > 0:
        return ReasonCode.QUEUE
    return ReasonCode.CHEAPEST if mix != belief.asked else ReasonCode.WITHIN_SLO


def _assemble(
    observation: Observation,
    policy: Policy,
    state: PlannerState,
    beliefs: dict[WorkloadId, Assessment],
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
