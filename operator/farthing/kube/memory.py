"""What survives a restart: spend, learned profiles and the last decisions, read from statuses.

A replica that is still there is charged from the moment the status names, and one that ran then and is gone is
charged up to the first look, so nothing that ran while the operator was down is lost.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

from farthing import api
from farthing.core.domain import (
    BudgetPeriod,
    CapacityType,
    PoolName,
    Provenance,
    ServiceProfile,
    VariantName,
)
from farthing.core.state import (
    MICROSECONDS_PER_HOUR,
    BudgetSpend,
    DecisionMark,
    NamespaceSpend,
    PlannerState,
    PoolSpend,
    ReplicasBefore,
    WorkloadSpend,
)
from farthing.kube import documents, translate
from farthing.kube.translate import Resources


def restored(found: Resources) -> PlannerState:
    """The planner's state as far as the statuses tell it."""
    return PlannerState(
        workload_spends=tuple(
            spend for one in found.services if (spend := _workload_spend(one)) is not None
        ),
        budget_spends=tuple(
            taken for one in found.budgets if (taken := _budget_spend(one)) is not None
        ),
        before=tuple(entry for one in found.services for entry in _replicas_before(one)),
        learned_profiles=tuple(
            profile for one in found.services for profile in _learned_profiles(one)
        ),
        decided=tuple(mark for one in found.services if (mark := _mark(one)) is not None),
    )


def _workload_spend(service: api.InferenceService) -> WorkloadSpend | None:
    spend = service.status.spend
    if spend is None:
        return None
    start, until = documents.instant(spend.period_start), documents.instant(spend.charged_until)
    if start is None or until is None:
        return None
    return WorkloadSpend(
        workload=translate.workload_id(service),
        period=BudgetPeriod(service.spec.budget.period),
        period_start=start,
        charged_until=until,
        by_pool=tuple(
            PoolSpend(
                pool=PoolName(entry.pool),
                capacity_type=CapacityType(entry.capacity_type),
                money_microseconds=_exact(entry.amount),
            )
            for entry in sorted(spend.by_pool, key=lambda entry: entry.pool)
        ),
        answered_requests=float(spend.answered_requests),
    )


def _replicas_before(service: api.InferenceService) -> Iterable[ReplicasBefore]:
    spend = service.status.spend
    until = documents.instant(spend.charged_until) if spend is not None else None
    slots = {variant.name: variant.slots for variant in service.spec.effective_variants()}
    for placement in service.status.placements:
        if until is not None and placement.ready > 0:
            yield ReplicasBefore(
                workload=translate.workload_id(service),
                pool=PoolName(placement.pool),
                slots=slots.get(placement.variant, 1),
                count=placement.ready,
                as_of=until,
            )


def _budget_spend(budget: api.ClusterBudget) -> BudgetSpend | None:
    spend = budget.status.spend
    if spend is None:
        return None
    start, until = documents.instant(spend.period_start), documents.instant(spend.charged_until)
    if start is None or until is None:
        return None
    return BudgetSpend(
        budget=budget.metadata.name,
        period_start=start,
        charged_until=until,
        by_namespace=tuple(
            NamespaceSpend(namespace=entry.namespace, money_microseconds=_exact(entry.amount))
            for entry in sorted(spend.by_namespace, key=lambda entry: entry.namespace)
        ),
    )


def _learned_profiles(service: api.InferenceService) -> Iterable[ServiceProfile]:
    for profile in service.status.profiles:
        if profile.provenance == "Learned":
            yield ServiceProfile(
                workload=translate.workload_id(service),
                variant=VariantName(profile.variant),
                hardware=profile.hardware,
                base_s=float(profile.base_milliseconds) / 1000,
                per_item_s=float(profile.per_item_milliseconds) / 1000,
                maximum_batch_size=profile.maximum_batch_size,
                provenance=Provenance.LEARNED,
            )


def _mark(service: api.InferenceService) -> DecisionMark | None:
    decision = service.status.decision
    at: datetime | None = documents.instant(decision.at) if decision else None
    if decision is None or at is None:
        return None
    owner = translate.workload_id(service)
    content = f"{owner}|{decision.chosen}|{decision.reason_code}|{decision.binding_constraint}"
    # What was weighed then is weighed again.
    return DecisionMark(workload=owner, content=content, id=decision.id, at=at)


def _exact(amount: Decimal) -> Decimal:
    return amount * MICROSECONDS_PER_HOUR
