"""The status of a ClusterBudget. Pure."""

from __future__ import annotations

from farthing import api
from farthing.api import cluster_budget as fields
from farthing.api.fields import number_or_unknown, rounded
from farthing.core.domain import ReasonCode
from farthing.kube import conditions, documents
from farthing.kube.documents import Json
from farthing.kube.status import Tick


def of_budget(budget: api.ClusterBudget, before: Json, tick: Tick) -> Json:
    """What was spent, what may be spent, and who went short."""
    name, generation = budget.metadata.name, budget.metadata.generation
    plan = tick.step.plan
    standing = next((one for one in plan.cluster_budgets if one.payer == name), None)
    ready = conditions.Aspect("Ready", True, "Accounted")
    aspects = (ready, conditions.within_budget(standing))
    return fields.ClusterBudgetStatus(
        observed_generation=generation,
        conditions=tuple(
            api.Condition.model_validate(one)
            for one in conditions.dated(aspects, before, generation, tick.observation.at)
        ),
        spend=_spend(name, tick),
        allowed_per_hour=number_or_unknown(standing.allowed_per_hour if standing else None),
        cost_per_hour=number_or_unknown(standing.cost_per_hour if standing else None),
        shortfalls=_shortfalls(name, tick),
    ).to_document()


def _spend(name: str, tick: Tick) -> fields.ClusterSpend | None:
    spend = next((one for one in tick.step.state.budget_spends if one.budget == name), None)
    standing = next((one for one in tick.step.plan.cluster_budgets if one.payer == name), None)
    if spend is None or standing is None:
        return None
    return fields.ClusterSpend(
        period_start=documents.timestamp(spend.period_start),
        charged_until=documents.precise_timestamp(spend.charged_until),
        amount=rounded(spend.amount),
        budget=standing.amount,
        forecast=number_or_unknown(standing.forecast, 4),
        by_namespace=tuple(
            fields.NamespaceSpend(namespace=entry.namespace, amount=rounded(entry.amount))
            for entry in spend.by_namespace[:1000]
        ),
    )


def _shortfalls(name: str, tick: Tick) -> tuple[fields.ServiceShortfall, ...]:
    priorities = {workload.id: workload.priority for workload in tick.observation.workloads}
    found = [
        decision.shortfall
        for decision in tick.step.plan.decisions
        if decision.shortfall is not None
        and decision.shortfall.because is ReasonCode.CLUSTER_BUDGET
        and decision.shortfall.limited_by == f"ClusterBudget {name}"
    ]
    found.sort(key=lambda one: (-one.missing_per_hour, one.workload))
    return tuple(
        fields.ServiceShortfall(
            namespace=one.workload.namespace,
            name=one.workload.name,
            missing_per_hour=rounded(one.missing_per_hour),
            priority=priorities.get(one.workload, 0),
        )
        for one in found[:200]
    )
