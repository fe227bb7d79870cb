"""ClusterBudget: what the namespaces it selects may spend together."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from farthing.api.condition import Condition
from farthing.api.fields import (
    UNKNOWN,
    Instant,
    Money,
    Name,
    NumberOrUnknown,
    Period,
    PositiveMoney,
)
from farthing.api.part import Part, StatusPart, keyed_list, value_set
from farthing.api.resource import AGE, Column, Definition, Resource
from farthing.api.selector import LabelSelector

AlertPercent = Annotated[int, Field(ge=1, le=100)]


class ClusterBudgetSpec(Part):
    """Who may spend how much."""

    namespace_selector: LabelSelector = Field(
        default=LabelSelector(),
        description="Labels of the namespaces that pay from this budget. Empty selects all.",
    )
    amount: PositiveMoney = Field(
        description="Most that the namespaces may spend together in one period, in the "
        "cluster's currency."
    )
    period: Period = Field(description="The period of the amount, in UTC.")
    alert_at_percent: tuple[AlertPercent, ...] = Field(
        default=(),
        strict=False,
        max_length=10,
        json_schema_extra=value_set(),
        description="Shares of the amount at which to say so, in percent.",
    )
    when_exceeded: Literal["AlertOnly", "CapByPriority"] = Field(
        default="AlertOnly",
        description="What happens when the money does not suffice. AlertOnly says so and goes on. "
        "CapByPriority keeps the services of the highest priority and takes from the others.",
    )


class NamespaceSpend(StatusPart):
    """What one namespace spent."""

    namespace: Name = Field(description="Namespace that spent it.")
    amount: Money = Field(description="Spent in this period.")


class ClusterSpend(StatusPart):
    """What was spent since the start of the period."""

    period_start: Instant = Field(description="Start of the current period, in UTC.")
    charged_until: Instant = Field(description="Up to when the amount is charged, in UTC.")
    amount: Money = Field(description="Spent since periodStart, in the cluster's currency.")
    budget: Money = Field(description="What may be spent in the whole period.")
    forecast: NumberOrUnknown = Field(
        default=UNKNOWN, description="What the whole period will cost at the present course."
    )
    by_namespace: tuple[NamespaceSpend, ...] = Field(
        default=(),
        strict=False,
        max_length=1000,
        json_schema_extra=keyed_list("namespace"),
        description="The amount by namespace.",
    )


class ServiceShortfall(StatusPart):
    """A service that this budget keeps from what it needs."""

    namespace: Name = Field(description="Namespace of the service.")
    name: Name = Field(description="Name of the service.")
    missing_per_hour: Money = Field(description="Money per hour that it lacks.")
    priority: int = Field(ge=0, le=1000, description="Its priority.")


class ClusterBudgetStatus(StatusPart):
    """What was spent and who went short."""

    observed_generation: int | None = Field(
        default=None, ge=0, description="The metadata.generation that this status is about."
    )
    conditions: tuple[Condition, ...] = Field(
        default=(),
        strict=False,
        max_length=16,
        json_schema_extra=keyed_list("type"),
        description="State by aspect: Ready and WithinBudget.",
    )
    spend: ClusterSpend | None = Field(default=None, description="What was spent in this period.")
    allowed_per_hour: NumberOrUnknown = Field(
        default=UNKNOWN, description="What an hour may cost now so that the period's amount lasts."
    )
    cost_per_hour: NumberOrUnknown = Field(default=UNKNOWN, description="What an hour costs now.")
    shortfalls: tuple[ServiceShortfall, ...] = Field(
        default=(),
        strict=False,
        max_length=200,
        json_schema_extra=keyed_list("namespace", "name"),
        description="Services that this budget keeps from what they need, largest lack first.",
    )


_COLUMNS = (
    Column(name="Amount", path=".spec.amount", description="Budget of one period."),
    Column(name="Period", path=".spec.period", description="The period."),
    Column(name="Spent", path=".status.spend.amount", description="Spent in this period."),
    Column(name="Forecast", path=".status.spend.forecast", description="Expected for the period."),
    Column(
        name="WithinBudget",
        path='.status.conditions[?(@.type=="WithinBudget")].status',
        description="Whether the forecast stays within the amount.",
    ),
    Column(name="Cost/H", path=".status.costPerHour", description="What an hour costs now."),
    AGE,
    Column(
        name="WhenExceeded",
        path=".spec.whenExceeded",
        wide=True,
        description="What happens when the money does not suffice.",
    ),
)


class ClusterBudget(Resource):
    """What the namespaces it selects may spend together."""

    definition: ClassVar[Definition] = Definition(
        plural="clusterbudgets",
        namespaced=False,
        columns=_COLUMNS,
        selectable=(".spec.whenExceeded", ".spec.period"),
    )

    kind: Literal["ClusterBudget"] = "ClusterBudget"
    spec: ClusterBudgetSpec = Field(description="Who may spend how much.")
    status: ClusterBudgetStatus = Field(
        default=ClusterBudgetStatus(), description="What was spent and who went short."
    )
