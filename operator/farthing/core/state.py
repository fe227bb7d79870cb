"""What the planner remembers between ticks: small, explicit, and safe to lose.

Losing it must only make the planner careful: with an empty state nothing is scaled in until a lower target has
persisted for a whole retention time again. Spend is the exception that must survive: hosts persist `WorkloadSpend`
and `BudgetSpend` in the resources' status and restore them here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from farthing.core.domain import (
    BudgetPeriod,
    CapacityType,
    Option,
    PoolName,
    ServiceProfile,
    Target,
    VariantName,
    WorkloadId,
)

MICROSECONDS_PER_HOUR = Decimal(3_600_000_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSpend:
    """Money of one workload in one pool, kept as price × slots × microseconds so that adding never rounds."""

    pool: PoolName
    capacity_type: CapacityType
    money_microseconds: Decimal = Decimal(0)

    @property
    def amount(self) -> Decimal:
        """Money spent."""
        return self.money_microseconds / MICROSECONDS_PER_HOUR


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadSpend:
    """What a workload spent in the current period of its own budget, and what it answered for it."""

    workload: WorkloadId
    period: BudgetPeriod
    period_start: datetime
    charged_until: datetime
    by_pool: tuple[PoolSpend, ...] = ()
    answered_requests: float = 0.0

    @property
    def amount(self) -> Decimal:
        """Money spent in the period."""
        return sum((entry.amount for entry in self.by_pool), Decimal(0))


@dataclass(frozen=True, slots=True, kw_only=True)
class NamespaceSpend:
    """Money one namespace took from a cluster budget."""

    namespace: str
    money_microseconds: Decimal = Decimal(0)

    @property
    def amount(self) -> Decimal:
        """Money spent."""
        return self.money_microseconds / MICROSECONDS_PER_HOUR


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetSpend:
    """What the namespaces of a cluster budget spent in its current period."""

    budget: str
    period_start: datetime
    charged_until: datetime
    by_namespace: tuple[NamespaceSpend, ...] = ()

    @property
    def amount(self) -> Decimal:
        """Money spent in the period."""
        return sum((entry.amount for entry in self.by_namespace), Decimal(0))


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningReplica:
    """A replica that cost money at the last tick; if it is gone at the next, it is charged up to that tick."""

    name: str
    workload: WorkloadId
    pool: PoolName
    slots: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicasBefore:
    """Replicas that ran at a checkpoint, whose names were not kept: known again after a restart by their count."""

    workload: WorkloadId
    pool: PoolName
    slots: int
    count: int
    as_of: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class LoweringIntent:
    """Since when a workload's wanted count in a pool has been below its current one."""

    workload: WorkloadId
    variant: VariantName
    pool: PoolName
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """Measured over modelled: the factor on a workload's rate within the SLO. 1 means the model is right."""

    workload: WorkloadId
    factor: float
    as_of: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedPool:
    """A pool whose launch was refused: not used again before `retry_at`; each refusal doubles the delay."""

    pool: PoolName
    retry_at: datetime
    refusals: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionMark:
    """What a workload's standing decision was about, so that an unchanged one keeps its id and its instant."""

    workload: WorkloadId
    content: str
    id: str
    at: datetime
    options: tuple[Option, ...] = ()
    """As they were weighed then; empty after a restart, and weighed again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannerState:
    """Everything carried from one tick to the next."""

    first_tick_at: datetime | None = None
    workload_spends: tuple[WorkloadSpend, ...] = ()
    budget_spends: tuple[BudgetSpend, ...] = ()
    running: tuple[RunningReplica, ...] = ()
    before: tuple[ReplicasBefore, ...] = ()
    """Of a restored state only: those that vanished since are charged up to the first tick."""
    lowering: tuple[LoweringIntent, ...] = ()
    corrections: tuple[Correction, ...] = ()
    refused_pools: tuple[RefusedPool, ...] = ()
    surges: tuple[Target, ...] = ()
    """Replicas asked for on top of the wanted ones, to replace those under an interruption notice."""
    decided: tuple[DecisionMark, ...] = ()
    learned_profiles: tuple[ServiceProfile, ...] = ()
    answered_totals: tuple[tuple[WorkloadId, float], ...] = ()
    """The sum of the pods' counters at the last reading: the next difference is what was answered since."""
