"""The status of an InferenceService: a quiet summary of what is so and why.

Fast-changing figures are strings that hold a number or the word unknown: never
blank, never a zero that stands for not knowing.
"""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from farthing.api.condition import Condition
from farthing.api.fields import (
    UNKNOWN,
    CapacityType,
    Instant,
    LongText,
    Money,
    Name,
    Number,
    NumberOrUnknown,
    Provenance,
    Reason,
    ShortText,
    Token,
    VariantName,
)
from farthing.api.part import StatusPart, keyed_list, whole_list

DecisionId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]*$", max_length=63)]


class PlacementStatus(StatusPart):
    """How many replicas of a variant a pool holds."""

    variant: VariantName = Field(description="Variant of the replicas.")
    pool: Name = Field(description="CapacityPool of the replicas.")
    capacity_type: CapacityType = Field(description="Capacity type of the pool.")
    target: int = Field(ge=0, description="Replicas wanted in this pool.")
    ready: int = Field(ge=0, description="Replicas of this pool that can serve.")


class ProfileStatus(StatusPart):
    """What is believed of the speed of a variant on a hardware."""

    variant: VariantName = Field(description="Variant that was profiled.")
    hardware: Token = Field(description="Model of the accelerator, or cpu.")
    provenance: Provenance = Field(
        description="Declared by people, Measured by a benchmark, or Learned from live traffic."
    )
    base_milliseconds: Number = Field(
        description="Time of a batch that does not depend on its size, in milliseconds."
    )
    per_item_milliseconds: Number = Field(
        description="Time that each request adds to its batch, in milliseconds."
    )
    maximum_batch_size: int = Field(ge=1, description="Most requests in one batch.")
    requests_per_second_within_slo: NumberOrUnknown = Field(
        default=UNKNOWN,
        alias="requestsPerSecondWithinSLO",
        description="Arrival rate that one replica serves within the SLO, in requests per second.",
    )


class PoolSpend(StatusPart):
    """What a service spent in one pool."""

    pool: Name = Field(description="CapacityPool that the money went to.")
    capacity_type: CapacityType = Field(description="Capacity type of the pool.")
    amount: Money = Field(description="Spent in this pool in this period.")


class Spend(StatusPart):
    """What was spent since the start of the budget's period."""

    period_start: Instant = Field(description="Start of the current period, in UTC.")
    charged_until: Instant = Field(description="Up to when the amount is charged, in UTC.")
    amount: Money = Field(description="Spent since periodStart, in the cluster's currency.")
    budget: Money = Field(description="What may be spent in the whole period.")
    budget_used_percent: NumberOrUnknown = Field(
        default=UNKNOWN, description="The amount in percent of the budget."
    )
    forecast: NumberOrUnknown = Field(
        default=UNKNOWN, description="What the whole period will cost at the present course."
    )
    answered_requests: int = Field(
        default=0, ge=0, le=10**15, description="Requests answered since periodStart."
    )
    by_pool: tuple[PoolSpend, ...] = Field(
        default=(),
        strict=False,
        max_length=64,
        json_schema_extra=keyed_list("pool"),
        description="The amount by pool.",
    )


class Shortfall(StatusPart):
    """What could not be served, and what it would cost."""

    missing_per_hour: Money = Field(
        description="Money per hour that would serve what is left unserved."
    )
    reason: Reason = Field(description="What stands in the way, one CamelCase word.")


class Address(StatusPart):
    """Where the service answers."""

    url: ShortText = Field(description="URL of the service inside the cluster.")


class Option(StatusPart):
    """One plan that was weighed."""

    plan: ShortText = Field(description="Replicas by pool, such as l4-reserved 2, l4-spot 1.")
    cost_per_hour: NumberOrUnknown = Field(default=UNKNOWN, description="What the plan costs.")
    latency_milliseconds: NumberOrUnknown = Field(
        default=UNKNOWN,
        description="Latency expected at the percentile of the SLO, in milliseconds.",
    )
    verdict: Literal["Chosen", "Rejected"] = Field(description="Whether it was taken.")
    reason: Reason = Field(description="Why, as one CamelCase word.")
    message: ShortText = Field(default="", description="Why, as a sentence for people.")


class DecisionInput(StatusPart):
    """How old a measurement was when it was decided upon, or why it was missing."""

    name: Token = Field(description="What was measured.")
    age_seconds: int | None = Field(
        default=None, ge=0, description="Age of the value when it was used, in seconds."
    )
    gap: ShortText | None = Field(
        default=None, description="Why there was no value. Absent when there was one."
    )


class Decision(StatusPart):
    """The last decision, with what it rested on and what would reverse it."""

    id: DecisionId = Field(description="Identifier of the decision, the same in events and logs.")
    at: Instant = Field(description="When it was decided, in UTC.")
    chosen: ShortText = Field(description="The plan taken, such as l4-reserved 2, l4-spot 1.")
    cost_per_hour: NumberOrUnknown = Field(default=UNKNOWN, description="What it costs.")
    options: tuple[Option, ...] = Field(
        default=(),
        strict=False,
        max_length=12,
        json_schema_extra=whole_list(),
        description="The plans that were weighed, the chosen one among them.",
    )
    binding_constraint: ShortText = Field(
        default="", description="The limit that kept the plan from being cheaper."
    )
    reason_code: Reason = Field(description="Why this plan, as one CamelCase word.")
    message: LongText = Field(default="", description="Why this plan, as a sentence for people.")
    reverses_when: LongText = Field(default="", description="What would change the decision.")
    inputs: tuple[DecisionInput, ...] = Field(
        default=(),
        strict=False,
        max_length=16,
        json_schema_extra=keyed_list("name"),
        description="Age of what the decision rested on.",
    )


class InferenceServiceStatus(StatusPart):
    """What was observed and decided last."""

    observed_generation: int | None = Field(
        default=None, ge=0, description="The metadata.generation that this status is about."
    )
    conditions: tuple[Condition, ...] = Field(
        default=(),
        strict=False,
        max_length=16,
        json_schema_extra=keyed_list("type"),
        description="State by aspect: Ready, Reconciling, Stalled, SLOAttained, WithinBudget, "
        "CapacityAvailable, MetricsAvailable, ScalingEffective.",
    )
    replicas: int | None = Field(default=None, ge=0, description="Replicas wanted in all pools.")
    selector: Annotated[str, StringConstraints(max_length=512)] | None = Field(
        default=None, description="Label selector of the replicas, for the scale subresource."
    )
    placements: tuple[PlacementStatus, ...] = Field(
        default=(),
        strict=False,
        max_length=64,
        json_schema_extra=keyed_list("variant", "pool"),
        description="Replicas by variant and pool.",
    )
    pools: ShortText = Field(default=UNKNOWN, description="Replicas by pool, in short.")
    cost_per_hour: NumberOrUnknown = Field(
        default=UNKNOWN, description="What an hour costs now, in the cluster's currency."
    )
    cost_per_thousand_requests: NumberOrUnknown = Field(
        default=UNKNOWN, description="What a thousand requests cost now."
    )
    latency_milliseconds: NumberOrUnknown = Field(
        default=UNKNOWN,
        description="Measured latency at the percentile of the SLO, in milliseconds.",
    )
    queue_length: NumberOrUnknown = Field(
        default=UNKNOWN, description="Requests waiting in all replicas."
    )
    profiles: tuple[ProfileStatus, ...] = Field(
        default=(),
        strict=False,
        max_length=64,
        json_schema_extra=keyed_list("variant", "hardware"),
        description="What is believed of the speed of each variant on each hardware.",
    )
    spend: Spend | None = Field(default=None, description="What was spent in this period.")
    shortfall: Shortfall | None = Field(
        default=None, description="What cannot be served. Absent when everything can."
    )
    address: Address | None = Field(default=None, description="Where the service answers.")
    decision: Decision | None = Field(default=None, description="The last decision.")
