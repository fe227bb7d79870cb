"""The nouns of a decision: intent, facts, beliefs, decision.

Why this module exists: every host (live operator, command line, simulation) meets the planner at these values and
nowhere else. All are frozen; instants are timezone-aware UTC datetimes, durations are float seconds (`_s`), shares
are fractions of one, and money is `Decimal` in the cluster's one currency.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import NewType

PoolName = NewType("PoolName", str)
VariantName = NewType("VariantName", str)


class CapacityType(StrEnum):
    """How a pool's capacity is bought."""

    RESERVED = "Reserved"
    ON_DEMAND = "OnDemand"
    SPOT = "Spot"


class BudgetPeriod(StrEnum):
    """The calendar window of a budget, in UTC."""

    HOUR = "Hour"
    DAY = "Day"
    MONTH = "Month"


class WhenExceeded(StrEnum):
    """What a budget does when its money does not suffice."""

    ALERT_ONLY = "AlertOnly"
    CAP = "Cap"


class Provenance(StrEnum):
    """Where a service-time profile comes from."""

    DECLARED = "Declared"
    MEASURED = "Measured"
    LEARNED = "Learned"


# --- Intent: what people asked for ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class WorkloadId:
    """Names one served model."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Slo:
    """At least `attainment_fraction` are answered within `latency_s`; sizing looks at `quantile_fraction`."""

    latency_s: float
    quantile_fraction: float = 0.99
    attainment_fraction: float = 0.99


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One way to serve the model. `accuracy_fraction` is relative to the first variant; None means not known."""

    name: VariantName
    slots: int = 1
    accuracy_fraction: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Money for one calendar period; CAP makes it a limit inside the allocation."""

    amount: Decimal
    period: BudgetPeriod
    when_exceeded: WhenExceeded = WhenExceeded.ALERT_ONLY
    maximum_cost_per_thousand_requests: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """One served model with its objective, its money and its limits.

    `pools` are the names of the pools its placement selects. `external_replicas` is set where an outside autoscaler
    decides the count; the planner then only chooses where.
    """

    id: WorkloadId
    slo: Slo
    budget: Budget
    variants: tuple[Variant, ...]
    pools: tuple[PoolName, ...]
    minimum_accuracy_fraction: float | None = None
    min_replicas: int = 1
    max_replicas: int = 20
    target_queue_length: int = 4
    spot_allowed: bool = True
    minimum_non_spot_replicas: int = 0
    priority: int = 100
    paused: bool = False
    external_replicas: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Capacity of one kind in one place. `price_per_slot_hour` None means unpriced: nothing new is placed there."""

    name: PoolName
    capacity_type: CapacityType
    hardware: str
    price_per_slot_hour: Decimal | None
    maximum_slots: int | None = None
    committed_slots: int = 0
    interruptions_per_hour: float = 0.0
    notice_s: float = 0.0
    startup_prior_s: float = 180.0
    patience_s: float = 600.0

    @property
    def slot_limit(self) -> int | None:
        """Slots that can be held at once; None means no limit is known."""
        if self.capacity_type is CapacityType.RESERVED:
            return self.committed_slots
        return self.maximum_slots


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterBudget:
    """What some namespaces may spend together; the payer is the namespace."""

    name: str
    namespaces: frozenset[str]
    amount: Decimal
    period: BudgetPeriod
    when_exceeded: WhenExceeded = WhenExceeded.CAP


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceProfile:
    """Time of a batch of n items on one hardware: `base_s + per_item_s * n`, n up to `maximum_batch_size`."""

    workload: WorkloadId
    variant: VariantName
    hardware: str
    base_s: float
    per_item_s: float
    maximum_batch_size: int
    startup_s: float | None = None
    provenance: Provenance = Provenance.DECLARED


# --- Facts: what was seen ---------------------------------------------------------------------------------------


class ReplicaPhase(StrEnum):
    """Where a replica stands between being asked for and being gone."""

    PENDING = "Pending"
    STARTING = "Starting"
    READY = "Ready"
    DRAINING = "Draining"


@dataclass(frozen=True, slots=True, kw_only=True)
class Replica:
    """One pod. `started_at` is when it got its node and began to cost; `interrupted_at` when a notice was seen."""

    name: str
    workload: WorkloadId
    variant: VariantName
    pool: PoolName
    phase: ReplicaPhase
    created_at: datetime
    started_at: datetime | None = None
    ready_at: datetime | None = None
    interrupted_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyCounts:
    """A histogram over a window: `counts[i]` answers in (`bounds_s[i-1]`, `bounds_s[i]`], the last above all bounds."""

    bounds_s: tuple[float, ...]
    counts: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchSample:
    """Batches of one size seen since the replica started: how many, and their total seconds."""

    size: int
    batches: float
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadReading:
    """What the pods of a workload said. Arrival and completion buckets are oldest first and end at `ends_at`.

    `arrivals` counts every request that reached a server, refused ones included; `refused` those that were refused.
    """

    workload: WorkloadId
    ends_at: datetime
    bucket_s: float
    arrivals: tuple[float, ...]
    refused: tuple[float, ...]
    queued: float
    in_flight: float
    answered_total: float
    latency: LatencyCounts | None = None
    batches: tuple[tuple[VariantName, str, tuple[BatchSample, ...]], ...] = ()
    source: str = "direct"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Something that could not be observed, since when, and why."""

    subject: str
    missing: str
    since: datetime
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """Everything one tick may look at. `at` is the only clock there is."""

    at: datetime
    workloads: tuple[Workload, ...]
    pools: tuple[Pool, ...]
    replicas: tuple[Replica, ...]
    targets: tuple[Target, ...] = ()
    """What the cluster is asked for now (the Deployments' replica counts)."""
    readings: tuple[LoadReading, ...] = ()
    profiles: tuple[ServiceProfile, ...] = ()
    cluster_budgets: tuple[ClusterBudget, ...] = ()
    gaps: tuple[Gap, ...] = ()


# --- Decision: what should be true ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Target:
    """So many replicas of one variant in one pool."""

    workload: WorkloadId
    variant: VariantName
    pool: PoolName
    replicas: int


class ReasonCode(StrEnum):
    """Why a workload's target is what it is, and why an option lost. CamelCase, as conditions and events want them."""

    WITHIN_SLO = "WithinSLO"
    CHEAPEST = "CheapestThatMeetsSLO"
    MISSES_SLO = "MissesSLO"
    POOL_FULL = "PoolFull"
    DEARER = "Dearer"
    SPOT_FORBIDDEN = "SpotForbidden"
    NON_SPOT_FLOOR = "NonSpotFloor"
    BELOW_ACCURACY = "BelowAccuracyFloor"
    UNPRICED = "PriceUnknown"
    SET_ASIDE = "LaunchesRefused"
    MAX_REPLICAS = "MaxReplicas"
    MIN_REPLICAS = "MinReplicas"
    SERVICE_BUDGET = "ServiceBudget"
    CLUSTER_BUDGET = "ClusterBudget"
    CAPACITY = "CapacityExhausted"
    HELD_ON_GAP = "HeldOnGap"
    PAUSED = "Paused"
    EXTERNAL = "ExternalReplicas"
    RETAINED = "RetainedUntilRestartIsDearer"
    QUEUE = "QueueAboveTarget"
    INTERRUPTED = "Interrupted"
    UNPROFILED = "ProfileUnknown"
    NO_POOL = "NoPoolSelected"
    COST_PER_REQUEST = "CostPerThousandRequests"
    DEMAND = "Demand"


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One plan that was considered. Money per hour is effective cost; latency is the modelled quantile."""

    plan: str
    cost_per_hour: Decimal | None
    latency_s: float | None
    chosen: bool
    reason: ReasonCode
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InputAge:
    """How old an input of the decision was; None with the reason when there was none."""

    name: str
    age_s: float | None
    gap: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortfall:
    """What a workload did not get, and what serving it would cost on top."""

    workload: WorkloadId
    replicas: int
    missing_per_hour: Decimal
    because: ReasonCode
    limited_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The record of one workload's decision: the same in status, event, `explain` and the log."""

    id: str
    at: datetime
    workload: WorkloadId
    chosen: str
    wanted_replicas: int
    cost_per_hour: Decimal
    options: tuple[Option, ...]
    binding: ReasonCode
    reason: ReasonCode
    message: str
    reverses_when: str
    inputs: tuple[InputAge, ...]
    shortfall: Shortfall | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetStanding:
    """Where one budget stands: period, spend so far, what may be spent per hour now (None: no limit), forecast."""

    payer: str
    period_start: datetime
    period_end: datetime
    amount: Decimal
    spent: Decimal
    allowed_per_hour: Decimal | None
    cost_per_hour: Decimal
    forecast: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What should be true for all workloads, with the reasons."""

    at: datetime
    targets: tuple[Target, ...]
    decisions: tuple[Decision, ...]
    service_budgets: tuple[BudgetStanding, ...]
    cluster_budgets: tuple[BudgetStanding, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A difference to apply: the count expected to be found, and the count wanted."""

    workload: WorkloadId
    variant: VariantName
    pool: PoolName
    from_replicas: int
    to_replicas: int
