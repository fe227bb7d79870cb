"""CapacityPool: hardware of one capacity type in one place, and its price.

A pool sells slots. A slot is one bundle of hardware; a replica takes one or more.
"""

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field

from farthing.api.condition import Condition
from farthing.api.fields import (
    UNKNOWN,
    CapacityType,
    HourlyRate,
    LabelValue,
    NumberOrUnknown,
    PositiveMoney,
    Token,
    text_type,
)
from farthing.api.part import (
    RULES,
    Contradiction,
    Part,
    StatusPart,
    keyed_list,
    quoted,
    required,
    rule_between,
    whole_list,
)
from farthing.api.resource import AGE, Column, Definition, Resource
from farthing.api.selector import KEY_RULES, key_contradictions

CpuQuantity = Annotated[
    str,
    *text_type(
        r"^([1-9][0-9]{0,4}(\.[0-9]{1,3})?|0\.(00[1-9]|0[1-9][0-9]?|[1-9][0-9]{0,2})|[1-9][0-9]{0,7}m)$",
        10,
        'CPUs as a quoted Kubernetes quantity greater than 0, such as "8" or "500m"',
    ),
]
MemoryQuantity = Annotated[
    str,
    *text_type(
        r"^[1-9][0-9]{0,14}(Ki|Mi|Gi|Ti|k|M|G|T)?$",
        17,
        "memory as a Kubernetes quantity greater than 0, such as 32Gi",
    ),
]
ResourceName = Annotated[
    str,
    *text_type(
        r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?/[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$",
        253,
        "the name of an extended resource, such as nvidia.com/gpu",
    ),
]
TaintKey = Annotated[
    str,
    *text_type(
        r"^([a-z0-9]([-.a-z0-9]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$",
        253,
        "the key of a taint, such as nvidia.com/gpu",
    ),
]


class Accelerator(Part):
    """The accelerators of one slot."""

    resource_name: ResourceName = Field(
        description="Extended resource that a pod asks for, such as nvidia.com/gpu."
    )
    model: Token = Field(
        description="Model of the accelerator, such as NVIDIA-L4; the hardware of ModelProfiles."
    )
    count: int = Field(default=1, ge=1, le=64, description="Accelerators in one slot.")


class Slot(Part):
    """The bundle of hardware that the pool sells."""

    cpu: CpuQuantity = Field(description='CPUs of one slot, a quoted quantity such as "8".')
    memory: MemoryQuantity = Field(description="Memory of one slot, a quantity such as 32Gi.")
    accelerator: Accelerator | None = Field(
        default=None, description="Accelerators of one slot. Without it, the slot computes on CPUs."
    )

    @property
    def hardware(self) -> str:
        """What ModelProfiles call this hardware: the accelerator's model, or cpu."""
        return self.accelerator.model if self.accelerator else "cpu"


class Toleration(Part):
    """A taint of the pool's nodes that replicas accept."""

    model_config = ConfigDict(
        json_schema_extra={
            RULES: [
                rule_between(
                    "!has(self.operator) || self.operator != 'Exists' || !has(self.value)",
                    refuses=quoted("self.value"),
                    allowed="no value where operator is Exists",
                    field="value",
                ),
                rule_between(
                    "!has(self.tolerationSeconds)"
                    " || (has(self.effect) && self.effect == 'NoExecute')",
                    refuses="self.tolerationSeconds",
                    allowed="tolerationSeconds only where effect is NoExecute",
                    field="tolerationSeconds",
                ),
            ]
        }
    )

    key: TaintKey = Field(description="Key of the taint.")
    operator: Literal["Equal", "Exists"] = Field(
        default="Equal",
        description="Equal compares the value, Exists accepts any. Equal when absent.",
    )
    value: LabelValue | None = Field(
        default=None, description="Value of the taint where operator is Equal."
    )
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = Field(
        default=None, description="Effect of the taint. Without it, every effect is accepted."
    )
    toleration_seconds: int | None = Field(
        default=None,
        ge=0,
        le=86_400,
        description="How long a NoExecute taint is endured, in seconds. Without it, for ever.",
    )

    def contradictions(self) -> Iterator[Contradiction]:
        if self.operator == "Exists" and self.value is not None:
            yield Contradiction(("value",), self.value, "no value where operator is Exists")
        if self.toleration_seconds is not None and self.effect != "NoExecute":
            yield Contradiction(
                ("tolerationSeconds",),
                self.toleration_seconds,
                "tolerationSeconds only where effect is NoExecute",
            )


class Price(Part):
    """What the pool's capacity costs."""

    per_slot_hour: PositiveMoney = Field(
        description="Price of one slot for one hour, in the cluster's currency."
    )


class Capacity(Part):
    """How many slots there are."""

    model_config = ConfigDict(
        json_schema_extra={
            RULES: [
                rule_between(
                    "!has(self.committedSlots) || !has(self.maximumSlots)"
                    " || self.committedSlots <= self.maximumSlots",
                    refuses="self.committedSlots",
                    allowed="at most maximumSlots, which is {self.maximumSlots}",
                    field="committedSlots",
                )
            ]
        }
    )

    maximum_slots: int | None = Field(
        default=None,
        ge=0,
        le=100_000,
        description="Most slots that may be used. Without it, committedSlots of a Reserved pool, "
        "else as many as the cluster provides.",
    )
    committed_slots: int | None = Field(
        default=None,
        ge=1,
        le=100_000,
        description="Slots of a Reserved pool that are paid for whether used or not.",
    )

    def contradictions(self) -> Iterator[Contradiction]:
        committed, most = self.committed_slots, self.maximum_slots
        if committed is not None and most is not None and committed > most:
            yield Contradiction(
                ("committedSlots",), committed, f"at most maximumSlots, which is {most}"
            )


class Interruption(Part):
    """How spot capacity is taken away."""

    notice_seconds: int = Field(
        ge=0,
        le=3600,
        description="Time between the notice and the loss of a node, in seconds.",
    )
    prior_per_hour: HourlyRate = Field(
        description="Interruptions of one node per hour assumed until enough were observed."
    )


class Startup(Part):
    """How long new capacity takes."""

    prior_seconds: int = Field(
        default=180,
        ge=1,
        le=7200,
        description="Time from the decision to a ready replica assumed until some were "
        "observed, in seconds.",
    )
    patience_seconds: int = Field(
        default=600,
        ge=10,
        le=86_400,
        description="A replica unschedulable for longer counts as refused, and the pool is set "
        "aside for a while, in seconds.",
    )


_COMMITTED = "a number of slots from 1 to 100000 in a Reserved pool"
_NOT_COMMITTED = "committedSlots only where capacityType is Reserved"
_NOT_INTERRUPTED = "no interruption except where capacityType is Spot"


class CapacityPoolSpec(Part):
    """Hardware, capacity type, place and price."""

    model_config = ConfigDict(
        json_schema_extra={
            RULES: [
                required(
                    "self.capacityType != 'Reserved' || has(self.capacity.committedSlots)",
                    allowed=_COMMITTED,
                    field="capacity.committedSlots",
                ),
                rule_between(
                    "self.capacityType == 'Reserved' || !has(self.capacity.committedSlots)",
                    refuses="self.capacity.committedSlots",
                    allowed=_NOT_COMMITTED,
                    field="capacity.committedSlots",
                ),
                rule_between(
                    "self.capacityType == 'Spot' || !has(self.interruption)",
                    refuses="'interruption'",
                    allowed=_NOT_INTERRUPTED,
                    field="interruption",
                ),
            ]
        }
    )

    capacity_type: CapacityType = Field(
        description="Reserved is paid whether used or not, OnDemand while used, Spot while used "
        "and may be taken away."
    )
    slot: Slot = Field(description="The bundle of hardware that the pool sells.")
    node_selector: dict[str, LabelValue] = Field(
        default={},
        max_length=16,
        json_schema_extra={RULES: KEY_RULES},
        description="Labels of the nodes of the pool. Replicas are bound to nodes that carry all.",
    )
    tolerations: tuple[Toleration, ...] = Field(
        default=(),
        strict=False,
        max_length=16,
        json_schema_extra=whole_list(),
        description="Taints of the pool's nodes that replicas accept.",
    )
    region: LabelValue | None = Field(default=None, description="Region of the nodes.")
    zone: LabelValue | None = Field(
        default=None, description="Zone of the nodes. Spot pools of one zone can fail together."
    )
    price: Price = Field(description="What the pool's capacity costs.")
    capacity: Capacity = Field(default=Capacity(), description="How many slots there are.")
    interruption: Interruption | None = Field(
        default=None, description="How the capacity of a Spot pool is taken away."
    )
    startup: Startup = Field(default=Startup(), description="How long new capacity takes.")

    def contradictions(self) -> Iterator[Contradiction]:
        yield from key_contradictions("nodeSelector", self.node_selector)
        reserved, committed = self.capacity_type == "Reserved", self.capacity.committed_slots
        if reserved and committed is None:
            yield Contradiction(("capacity", "committedSlots"), None, _COMMITTED)
        if not reserved and committed is not None:
            yield Contradiction(("capacity", "committedSlots"), committed, _NOT_COMMITTED)
        if self.capacity_type != "Spot" and self.interruption is not None:
            yield Contradiction(
                ("interruption",), self.interruption.to_document(), _NOT_INTERRUPTED
            )


class CapacityPoolStatus(StatusPart):
    """What the pool holds."""

    observed_generation: int | None = Field(
        default=None, ge=0, description="The metadata.generation that this status is about."
    )
    conditions: tuple[Condition, ...] = Field(
        default=(),
        strict=False,
        max_length=16,
        json_schema_extra=keyed_list("type"),
        description="State by aspect: Ready and CapacityAvailable.",
    )
    used_slots: int | None = Field(
        default=None, ge=0, description="Slots taken by replicas, ready or not."
    )
    ready_slots: int | None = Field(
        default=None, ge=0, description="Slots on nodes that are ready, taken or free."
    )
    idle_cost_per_hour: NumberOrUnknown = Field(
        default=UNKNOWN, description="What an hour of the unused committed slots costs."
    )


_COLUMNS = (
    Column(name="Type", path=".spec.capacityType", description="Capacity type."),
    Column(
        name="Ready",
        path='.status.conditions[?(@.type=="Ready")].status',
        description="Whether the pool can be used.",
    ),
    Column(
        name="Used",
        path=".status.usedSlots",
        type="integer",
        description="Slots taken by replicas.",
    ),
    Column(
        name="Committed",
        path=".spec.capacity.committedSlots",
        type="integer",
        description="Slots paid for whether used or not.",
    ),
    Column(
        name="Maximum",
        path=".spec.capacity.maximumSlots",
        type="integer",
        description="Most slots that may be used.",
    ),
    Column(name="Price/H", path=".spec.price.perSlotHour", description="Price of a slot-hour."),
    Column(
        name="IdleCost/H", path=".status.idleCostPerHour", description="Cost of unused commitment."
    ),
    AGE,
    Column(
        name="Hardware",
        path=".spec.slot.accelerator.model",
        wide=True,
        description="Model of the accelerator.",
    ),
    Column(name="Region", path=".spec.region", wide=True, description="Region of the nodes."),
    Column(name="Zone", path=".spec.zone", wide=True, description="Zone of the nodes."),
)


class CapacityPool(Resource):
    """Hardware of one capacity type in one place, and its price."""

    definition: ClassVar[Definition] = Definition(
        plural="capacitypools",
        namespaced=False,
        columns=_COLUMNS,
        selectable=(".spec.capacityType", ".spec.region", ".spec.zone"),
    )

    kind: Literal["CapacityPool"] = "CapacityPool"
    spec: CapacityPoolSpec = Field(description="What the pool is and costs.")
    status: CapacityPoolStatus = Field(
        default=CapacityPoolStatus(), description="What the pool holds."
    )
