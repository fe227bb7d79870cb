"""InferenceService: a model to serve, the latency it must keep and the money it may cost.

Three things are required: `model`, `slo` and `budget`. Everything else has a default.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field

from farthing.api.fields import (
    Name,
    Percent,
    Period,
    PositiveMoney,
    PositivePercent,
    Precision,
    Token,
    VariantName,
    text_type,
)
from farthing.api.inference_service_status import InferenceServiceStatus
from farthing.api.model_uri import ModelUri
from farthing.api.part import RULES, Contradiction, Part, keyed_list, quoted, rule_between
from farthing.api.resource import AGE, LABEL_NAME, Column, Definition, Resource
from farthing.api.selector import LabelSelector

Revision = Annotated[
    str,
    *text_type(
        r"^[A-Za-z0-9]([._]?[A-Za-z0-9_/-]+)*$",
        128,
        "a tag, branch or commit of letters, digits and . _ / -, without ..",
    ),
]
Digest = Annotated[
    str, *text_type(r"^[0-9a-f]{64}$", 64, "64 lower-case hexadecimal digits of a SHA-256")
]


class Model(Part):
    """What is served and where it comes from."""

    name: Token | None = Field(
        default=None,
        description="Name under which the server answers for the model. "
        "Without it, the name of the InferenceService.",
    )
    uri: ModelUri = Field(
        description="Where the model is fetched from: image:///PATH (in the serving image), "
        "pvc://CLAIM/PATH, hf://OWNER/NAME, s3://BUCKET/KEY, gs://BUCKET/KEY or https://HOST/PATH."
    )
    revision: Revision | None = Field(
        default=None,
        description="Tag, branch or commit of the model where its source has revisions.",
    )
    sha256: Digest | None = Field(
        default=None,
        description="SHA-256 that the fetched file must have, in hexadecimal digits.",
    )


class RuntimeRef(Part):
    """Names the InferenceRuntime that serves the model."""

    name: Name = Field(default="torch", description="Name of an InferenceRuntime of the cluster.")


class Variant(Part):
    """One way to serve the model, such as another precision."""

    name: VariantName = Field(description="Name of the variant, unique in the service.")
    precision: Precision = Field(
        default="Float32",
        description="Number format that the variant computes in. Float32 when absent.",
    )
    accuracy_percent: PositivePercent | None = Field(
        default=None,
        description="Accuracy relative to the first variant, in percent. Without it, the "
        "accuracy measured in a ModelProfile, else that of the first variant is assumed.",
    )
    slots: int = Field(
        default=1, ge=1, le=64, description="Slots of a pool that one replica takes. 1 when absent."
    )


class Slo(Part):
    """The latency that requests must keep."""

    latency_milliseconds: int = Field(
        ge=1,
        le=600_000,
        description="Longest acceptable time from arrival to answer, in milliseconds.",
    )
    percentile: int = Field(
        default=99,
        ge=50,
        le=99,
        description="Percentile of the latency that is compared with latencyMilliseconds.",
    )
    attainment_percent: PositivePercent = Field(
        default=Decimal(99),
        description="Share of requests that must be answered in time, in percent.",
    )


class Budget(Part):
    """What the service may cost."""

    amount: PositiveMoney = Field(
        description="Most that the service may cost in one period, in the cluster's currency."
    )
    period: Period = Field(description="The period of the amount, in UTC.")
    maximum_cost_per_thousand_requests: PositiveMoney | None = Field(
        default=None,
        description="Most that a thousand answered requests should cost, in the cluster's "
        "currency.",
    )
    when_exceeded: Literal["AlertOnly", "Cap"] = Field(
        default="AlertOnly",
        description="What happens when the amount is spent. AlertOnly says so and goes on. "
        "Cap stops buying capacity for the rest of the period.",
    )


class Scaling(Part):
    """Limits of the number of replicas, and the queue it aims at."""

    model_config = ConfigDict(
        json_schema_extra={
            RULES: [
                rule_between(
                    "self.minReplicas <= self.maxReplicas",
                    refuses="self.minReplicas",
                    allowed="at most maxReplicas, which is {self.maxReplicas}",
                    field="minReplicas",
                )
            ]
        }
    )

    min_replicas: int = Field(
        default=1, ge=1, le=1000, description="Fewest replicas, whatever the demand."
    )
    max_replicas: int = Field(
        default=20, ge=1, le=1000, description="Most replicas, whatever the demand."
    )
    target_queue_length: int = Field(
        default=4,
        ge=1,
        le=10_000,
        description="Requests waiting per replica above which replicas are added.",
    )

    def contradictions(self) -> Iterator[Contradiction]:
        if self.min_replicas > self.max_replicas:
            yield Contradiction(
                ("minReplicas",),
                self.min_replicas,
                f"at most maxReplicas, which is {self.max_replicas}",
            )


class Placement(Part):
    """Which pools may be used."""

    model_config = ConfigDict(
        json_schema_extra={
            RULES: [
                rule_between(
                    "self.spot != 'Forbid' || self.minimumNonSpotReplicas == 0",
                    refuses="self.minimumNonSpotReplicas",
                    allowed="0 where spot is Forbid, since then no replica is on spot",
                    field="minimumNonSpotReplicas",
                )
            ]
        }
    )

    pool_selector: LabelSelector = Field(
        default=LabelSelector(),
        description="Labels of the CapacityPools that may be used. Empty allows every pool.",
    )
    spot: Literal["Allow", "Forbid"] = Field(
        default="Allow", description="Whether replicas may run on capacity that can be taken away."
    )
    minimum_non_spot_replicas: int = Field(
        default=0,
        ge=0,
        le=1000,
        description="Replicas that are always kept on capacity that cannot be taken away.",
    )

    def contradictions(self) -> Iterator[Contradiction]:
        if self.spot == "Forbid" and self.minimum_non_spot_replicas:
            yield Contradiction(
                ("minimumNonSpotReplicas",),
                self.minimum_non_spot_replicas,
                "0 where spot is Forbid, since then no replica is on spot",
            )


class InferenceServiceSpec(Part):
    """What is wanted: a model served within a latency objective and a budget."""

    model_config = ConfigDict(
        json_schema_extra={
            RULES: [
                rule_between(
                    "self.placement.minimumNonSpotReplicas <= self.scaling.maxReplicas",
                    refuses="self.placement.minimumNonSpotReplicas",
                    allowed="at most scaling.maxReplicas, which is {self.scaling.maxReplicas}",
                    field="placement.minimumNonSpotReplicas",
                ),
                rule_between(
                    "!has(self.minimumAccuracyPercent) || self.variants.size() == 0"
                    " || self.variants.exists(v, !has(v.accuracyPercent)"
                    " || double(v.accuracyPercent) >= double(self.minimumAccuracyPercent))",
                    refuses=quoted("self.minimumAccuracyPercent"),
                    allowed="at most the accuracyPercent of the best variant",
                    field="minimumAccuracyPercent",
                ),
            ]
        }
    )

    model: Model = Field(description="The model to serve.")
    runtime_ref: RuntimeRef = Field(
        default=RuntimeRef(), description="The InferenceRuntime that serves the model."
    )
    variants: tuple[Variant, ...] = Field(
        default=(),
        strict=False,
        max_length=16,
        json_schema_extra=keyed_list("name"),
        description="Ways to serve the model, the reference for accuracy first. Empty means one "
        "variant named default in Float32.",
    )
    minimum_accuracy_percent: Percent | None = Field(
        default=None,
        description="Variants less accurate than this are never used, in percent of the "
        "accuracy of the first variant.",
    )
    slo: Slo = Field(description="The latency that requests must keep.")
    budget: Budget = Field(description="What the service may cost.")
    scaling: Scaling = Field(default=Scaling(), description="Limits of the number of replicas.")
    placement: Placement = Field(default=Placement(), description="Which pools may be used.")
    priority: int = Field(
        default=100,
        ge=0,
        le=1000,
        description="Who is served first when not everything fits; higher goes first.",
    )
    paused: bool = Field(
        default=False, description="While true, Farthing changes nothing and only reports."
    )
    replicas: int | None = Field(
        default=None,
        ge=1,
        le=1000,
        description="Fixed number of replicas, set by an outside autoscaler or kubectl scale. "
        "Without it, Farthing decides.",
    )

    def effective_variants(self) -> tuple[Variant, ...]:
        """The variants, or the one that is meant when none is listed."""
        return self.variants or (Variant(name="default"),)

    def contradictions(self) -> Iterator[Contradiction]:
        least_non_spot, most = self.placement.minimum_non_spot_replicas, self.scaling.max_replicas
        if least_non_spot > most:
            yield Contradiction(
                ("placement", "minimumNonSpotReplicas"),
                least_non_spot,
                f"at most scaling.maxReplicas, which is {most}",
            )
        floor = self.minimum_accuracy_percent
        known = [variant.accuracy_percent for variant in self.effective_variants()]
        if floor is not None and all(share is not None and share < floor for share in known):
            yield Contradiction(
                ("minimumAccuracyPercent",),
                format(floor, "f"),
                "at most the accuracyPercent of the best variant",
            )


READY = '.status.conditions[?(@.type=="Ready")]'
_COLUMNS = (
    Column(name="Ready", path=f"{READY}.status", description="Whether the service can serve."),
    Column(name="Reason", path=f"{READY}.reason", description="Why it can or cannot serve."),
    Column(
        name="Replicas", path=".status.replicas", type="integer", description="Replicas wanted."
    ),
    Column(name="Queue", path=".status.queueLength", description="Requests waiting."),
    Column(
        name="LatencyMS",
        path=".status.latencyMilliseconds",
        description="Measured latency at the percentile of the SLO, in milliseconds.",
    ),
    Column(
        name="SLOMS",
        path=".spec.slo.latencyMilliseconds",
        type="integer",
        description="The latency objective in milliseconds.",
    ),
    Column(name="Cost/H", path=".status.costPerHour", description="What an hour costs now."),
    Column(
        name="BudgetUsed%",
        path=".status.spend.budgetUsedPercent",
        description="Share of the period's budget that is spent.",
    ),
    AGE,
    Column(
        name="Model", path=".spec.model.uri", wide=True, description="Where the model comes from."
    ),
    Column(name="Pools", path=".status.pools", wide=True, description="Replicas by pool."),
    Column(
        name="Cost/1K",
        path=".status.costPerThousandRequests",
        wide=True,
        description="What a thousand requests cost now.",
    ),
    Column(
        name="LastDecision", path=".status.decision.id", wide=True, description="Id for explain."
    ),
)


class InferenceService(Resource):
    """A model to serve within a latency objective and a budget."""

    definition: ClassVar[Definition] = Definition(
        plural="inferenceservices",
        namespaced=True,
        short_names=("fis",),
        columns=_COLUMNS,
        selectable=(
            ".spec.runtimeRef.name",
            ".spec.budget.whenExceeded",
            ".spec.placement.spot",
            ".spec.paused",
        ),
        scalable=True,
        name_pattern="^[a-z]([-a-z0-9]*[a-z0-9])?$",
        name_allowed=f"{LABEL_NAME}, starting with a letter, since it names a Service",
    )

    kind: Literal["InferenceService"] = "InferenceService"
    spec: InferenceServiceSpec = Field(description="What is wanted.")
    status: InferenceServiceStatus = Field(
        default=InferenceServiceStatus(), description="What was observed and decided last."
    )
