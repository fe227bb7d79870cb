"""Money as limits inside the allocation: what a workload, and the namespaces together, may cost per hour now."""

from __future__ import annotations

from decimal import Decimal

from farthing.core import allocation, pacing
from farthing.core.allocation import Limit, Supply
from farthing.core.beliefs import DemandEstimate
from farthing.core.candidates import Candidate
from farthing.core.domain import (
    BudgetStanding,
    Observation,
    ReasonCode,
    WhenExceeded,
    Workload,
    WorkloadId,
)
from farthing.core.policy import Policy
from farthing.core.state import PlannerState

Limits = dict[str, Decimal]


def money_limit(
    workload: Workload,
    usable: tuple[Candidate, ...],
    demand: DemandEstimate | None,
    observation: Observation,
    policy: Policy,
    state: PlannerState,
    supply: Supply,
) -> Limit | None:
    """The tightest limit on what this workload may cost per hour; None where nothing limits it."""
    found: list[Limit] = []
    budget = workload.budget
    if budget.when_exceeded is WhenExceeded.CAP:
        spent = next(
            (s.amount for s in state.workload_spends if s.workload == workload.id), Decimal(0)
        )
        per_hour = pacing.allowed_per_hour(
            observation.at, budget.period, budget.amount, spent, policy.pacing_burst
        )
        found.append(Limit(name="spec.budget", reason=ReasonCode.SERVICE_BUDGET, per_hour=per_hour))
    if budget.maximum_cost_per_thousand_requests is not None and demand is not None:
        worth = budget.maximum_cost_per_thousand_requests * Decimal(
            str(round(demand.sizing_rps * 3.6, 6))
        )
        # The fewest replicas are always worth their money, wherever there is room for them.
        fewest = allocation.allocate(workload, usable, {}, 0.0, supply, None).mix
        least = allocation.total_per_hour(fewest, {c.key: c.effective_per_hour for c in usable})
        found.append(
            Limit(
                name="spec.budget.maximumCostPerThousandRequests",
                reason=ReasonCode.COST_PER_REQUEST,
                per_hour=max(worth, least),
            )
        )
    found += [
        Limit(
            name=f"ClusterBudget {name}",
            reason=ReasonCode.CLUSTER_BUDGET,
            per_hour=max(Decimal(0), left),
        )
        for name, left in sorted(supply.limits.items())
        if name in payers(workload, observation)
    ]
    return min(found, key=lambda limit: limit.per_hour, default=None)


def payers(workload: Workload, observation: Observation) -> frozenset[str]:
    """The cluster budgets that pay for this workload."""
    return frozenset(
        b.name for b in observation.cluster_budgets if workload.id.namespace in b.namespaces
    )


def cluster_limits(observation: Observation, policy: Policy, state: PlannerState) -> Limits:
    """What the namespaces of each capped cluster budget may spend per hour together."""
    spent = {s.budget: s.amount for s in state.budget_spends}
    return {
        b.name: pacing.allowed_per_hour(
            observation.at,
            b.period,
            b.amount,
            spent.get(b.name, Decimal(0)),
            policy.cluster_pacing_burst,
        )
        for b in observation.cluster_budgets
        if b.when_exceeded is WhenExceeded.CAP
    }


def service_standing(
    workload: Workload,
    observation: Observation,
    policy: Policy,
    state: PlannerState,
    cost_per_hour: Decimal,
) -> BudgetStanding:
    """Where the workload's own budget stands."""
    spent = next((s.amount for s in state.workload_spends if s.workload == workload.id), Decimal(0))
    budget = workload.budget
    capped = budget.when_exceeded is WhenExceeded.CAP
    limit = (
        pacing.allowed_per_hour(
            observation.at, budget.period, budget.amount, spent, policy.pacing_burst
        )
        if capped
        else None
    )
    return pacing.standing(
        str(workload.id),
        observation.at,
        budget.period,
        budget.amount,
        spent,
        limit,
        cost_per_hour,
    )


def cluster_standings(
    observation: Observation,
    state: PlannerState,
    costs: dict[WorkloadId, Decimal],
    limits: Limits,
) -> tuple[BudgetStanding, ...]:
    """Where every cluster budget stands."""
    spent = {s.budget: s.amount for s in state.budget_spends}
    return tuple(
        pacing.standing(
            b.name,
            observation.at,
            b.period,
            b.amount,
            spent.get(b.name, Decimal(0)),
            limits.get(b.name),
            sum(
                (cost for key, cost in costs.items() if key.namespace in b.namespaces),
                Decimal(0),
            ),
        )
        for b in sorted(observation.cluster_budgets, key=lambda b: b.name)
    )
