"""InferenceRuntime: how a serving engine is started, probed and measured.

The platform team writes it; a tenant picks it by name and never supplies a pod.
"""

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field, StringConstraints

from farthing.api.fields import HttpPath, LongText, MetricName, Precision, text_type
from farthing.api.part import (
    RULES,
    Contradiction,
    Part,
    keyed_list,
    quoted,
    rule_between,
    value_set,
    whole_list,
)
from farthing.api.resource import AGE, Column, Definition, Resource

Image = Annotated[
    str,
    *text_type(
        r"^[a-z0-9]([A-Za-z0-9._:/-]*[A-Za-z0-9])?(@sha256:[0-9a-f]{64})?$",
        512,
        "an image reference, such as farthing/server:0.1.0 or name@sha256:DIGEST",
    ),
]
Argument = Annotated[str, StringConstraints(max_length=1024)]
VariableName = Annotated[
    str,
    *text_type(
        r"^[A-Za-z_][A-Za-z0-9_]*$",
        128,
        "the name of an environment variable, such as OMP_NUM_THREADS",
    ),
]

_RESERVED_NAMES = "names other than POD_IP and FARTHING_*, which Farthing sets"


class Variable(Part):
    """One environment variable of the server."""

    model_config = ConfigDict(
        json_schema_extra={
            RULES: [
                rule_between(
                    "!self.name.startsWith('FARTHING_') && self.name != 'POD_IP'",
                    refuses=quoted("self.name"),
                    allowed=_RESERVED_NAMES,
                    field="name",
                )
            ]
        }
    )

    name: VariableName = Field(description="Name of the variable.")
    value: LongText = Field(
        default="", description="Value of the variable; $(NAME) stands for an earlier one."
    )

    def contradictions(self) -> Iterator[Contradiction]:
        if self.name.startswith("FARTHING_") or self.name == "POD_IP":
            yield Contradiction(("name",), self.name, _RESERVED_NAMES)


class ArgumentsByPrecision(Part):
    """Arguments added for one precision."""

    float32: tuple[Argument, ...] = Field(
        default=(),
        strict=False,
        alias="Float32",
        max_length=32,
        json_schema_extra=whole_list(),
        description="Arguments added for variants in Float32.",
    )
    float16: tuple[Argument, ...] = Field(
        default=(),
        strict=False,
        alias="Float16",
        max_length=32,
        json_schema_extra=whole_list(),
        description="Arguments added for variants in Float16.",
    )
    bfloat16: tuple[Argument, ...] = Field(
        default=(),
        strict=False,
        alias="BFloat16",
        max_length=32,
        json_schema_extra=whole_list(),
        description="Arguments added for variants in BFloat16.",
    )
    int8: tuple[Argument, ...] = Field(
        default=(),
        strict=False,
        alias="Int8",
        max_length=32,
        json_schema_extra=whole_list(),
        description="Arguments added for variants in Int8.",
    )

    def of(self, precision: Precision) -> tuple[str, ...]:
        """The arguments added for this precision."""
        by_precision: dict[Precision, tuple[str, ...]] = {
            "Float32": self.float32,
            "Float16": self.float16,
            "BFloat16": self.bfloat16,
            "Int8": self.int8,
        }
        return by_precision[precision]


class Metrics(Part):
    """Where the server's metrics are and what it calls them.

    The defaults are the names of Farthing's own server.
    """

    path: HttpPath = Field(default="/metrics", description="HTTP path of the metrics.")
    port: int | None = Field(
        default=None,
        ge=1,
        le=65_535,
        description="Port of the metrics. Without it, the port of the server.",
    )
    arrived_total: MetricName | None = Field(
        default=None, description="Counter of the requests that reached the server, refused or not."
    )
    completed_total: MetricName = Field(
        default="farthing_requests_completed_total",
        description="Counter of the requests that were answered.",
    )
    refused_total: MetricName | None = Field(
        default=None, description="Counter of the requests that were refused for lack of room."
    )
    queued: MetricName = Field(
        default="farthing_requests_queued", description="Gauge of the requests that wait."
    )
    in_flight: MetricName = Field(
        default="farthing_requests_in_flight",
        description="Gauge of the requests that are being computed.",
    )
    latency_seconds: MetricName = Field(
        default="farthing_request_latency_seconds",
        description="Histogram of the time from arrival to answer, in seconds.",
    )
    batches_total: MetricName | None = Field(
        default=None,
        description="Counter of the batches by the label size. With batchSecondsTotal it lets "
        "Farthing learn how the time of a batch depends on its size.",
    )
    batch_seconds_total: MetricName | None = Field(
        default=None, description="Counter of the seconds spent on batches by the label size."
    )


class Health(Part):
    """How the server is probed."""

    live_path: HttpPath = Field(
        default="/v2/health/live", description="HTTP path that answers while the server lives."
    )
    ready_path: HttpPath = Field(
        default="/v2/health/ready", description="HTTP path that answers once the server can serve."
    )


class InferenceRuntimeSpec(Part):
    """How the engine is started, probed and measured."""

    image: Image = Field(description="Image of the server, best named by digest.")
    args: tuple[Argument, ...] = Field(
        default=(),
        strict=False,
        max_length=64,
        json_schema_extra=whole_list(),
        description="Arguments of the server. $(NAME) stands for a variable of env or one that "
        "Farthing sets: POD_IP, FARTHING_MODEL_NAME, FARTHING_MODEL_URI, FARTHING_PRECISION, "
        "FARTHING_SLO_MILLISECONDS, FARTHING_VARIANT, FARTHING_PROFILE.",
    )
    args_by_precision: ArgumentsByPrecision = Field(
        default=ArgumentsByPrecision(),
        description="Arguments added after args, by the precision of the variant.",
    )
    env: tuple[Variable, ...] = Field(
        default=(),
        strict=False,
        max_length=64,
        json_schema_extra=keyed_list("name"),
        description="Environment variables of the server.",
    )
    port: int = Field(default=8080, ge=1, le=65_535, description="Port that the server answers on.")
    metrics: Metrics = Field(
        default=Metrics(), description="Where the metrics are and what the server calls them."
    )
    health: Health = Field(default=Health(), description="How the server is probed.")
    termination_grace_period_seconds: int = Field(
        default=30,
        ge=1,
        le=3600,
        description="Time that the server has to finish its queue when it is stopped, in seconds.",
    )
    precisions: tuple[Precision, ...] = Field(
        strict=False,
        min_length=1,
        max_length=4,
        json_schema_extra=value_set(),
        description="Precisions that the engine can serve.",
    )

    def arguments(self, precision: Precision) -> tuple[str, ...]:
        """All arguments for a variant of this precision, variables not yet replaced."""
        return self.args + self.args_by_precision.of(precision)


_COLUMNS = (
    Column(name="Image", path=".spec.image", description="Image of the server."),
    Column(name="Precisions", path=".spec.precisions", description="Precisions it can serve."),
    AGE,
)


class InferenceRuntime(Resource):
    """How a serving engine is started, probed and measured."""

    definition: ClassVar[Definition] = Definition(
        plural="inferenceruntimes", namespaced=False, columns=_COLUMNS
    )

    kind: Literal["InferenceRuntime"] = "InferenceRuntime"
    spec: InferenceRuntimeSpec = Field(description="How the engine is run.")
