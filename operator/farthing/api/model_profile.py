"""ModelProfile: how fast a model is on a hardware, before any request was served."""

from collections.abc import Iterator
from itertools import pairwise
from typing import ClassVar, Literal

from pydantic import ConfigDict, Field

from farthing.api.fields import PositiveNumber, PositivePercent, Provenance, Token, VariantName
from farthing.api.model_uri import ModelUri
from farthing.api.part import RULES, Contradiction, Part, keyed_list, rule_between
from farthing.api.resource import AGE, Column, Definition, Resource


class BatchTime(Part):
    """The time of a batch of one size."""

    size: int = Field(ge=1, le=4096, description="Requests in the batch.")
    milliseconds: PositiveNumber = Field(description="Time that it takes, in milliseconds.")


_ASCENDING = "sizes in ascending order"


class ProfileEntry(Part):
    """How fast one variant is on one hardware."""

    model_config = ConfigDict(
        json_schema_extra={
            RULES: [
                rule_between(
                    "self.batches.map(batch, batch.size).isSorted()",
                    refuses="self.batches.map(batch, batch.size)",
                    allowed=_ASCENDING,
                    field="batches",
                ),
                rule_between(
                    "self.batches.all(batch, batch.size <= self.maximumBatchSize)",
                    refuses="self.batches.map(batch, batch.size)",
                    allowed="sizes of at most maximumBatchSize, which is {self.maximumBatchSize}",
                    field="batches",
                ),
            ]
        }
    )

    variant: VariantName = Field(
        description="Variant of the model, by its name in the InferenceService."
    )
    hardware: Token = Field(
        description="Model of the accelerator as CapacityPools name it, or cpu."
    )
    maximum_batch_size: int = Field(ge=1, le=4096, description="Most requests in one batch.")
    batches: tuple[BatchTime, ...] = Field(
        strict=False,
        min_length=1,
        max_length=64,
        json_schema_extra=keyed_list("size"),
        description="Times of batches, in ascending order of size.",
    )
    startup_seconds: int | None = Field(
        default=None,
        ge=0,
        le=86_400,
        description="Time from the start of the container until it can serve, in seconds.",
    )
    memory_mebibytes: int | None = Field(
        default=None, ge=1, le=16_777_216, description="Memory that a replica needs, in MiB."
    )
    accuracy_percent: PositivePercent | None = Field(
        default=None, description="Accuracy relative to the first variant, in percent."
    )
    accuracy_metric: Token | None = Field(
        default=None, description="What the accuracy was measured by, such as top1."
    )

    def contradictions(self) -> Iterator[Contradiction]:
        sizes = [batch.size for batch in self.batches]
        if any(later < earlier for earlier, later in pairwise(sizes)):
            yield Contradiction(("batches",), sizes, _ASCENDING)
        if max(sizes) > self.maximum_batch_size:
            yield Contradiction(
                ("batches",),
                sizes,
                f"sizes of at most maximumBatchSize, which is {self.maximum_batch_size}",
            )


class ModelProfileSpec(Part):
    """How fast a model is, by variant and hardware."""

    model_uri: ModelUri = Field(
        description="The model this is about: spec.model.uri of the services that serve it."
    )
    provenance: Provenance = Field(
        description="Declared by people, Measured by a benchmark, or Learned from live traffic."
    )
    entries: tuple[ProfileEntry, ...] = Field(
        strict=False,
        min_length=1,
        max_length=64,
        json_schema_extra=keyed_list("variant", "hardware"),
        description="Times by variant and hardware.",
    )


_COLUMNS = (
    Column(name="Model", path=".spec.modelUri", description="The model this is about."),
    Column(name="Provenance", path=".spec.provenance", description="Where the figures come from."),
    AGE,
)


class ModelProfile(Resource):
    """How fast a model is on a hardware."""

    definition: ClassVar[Definition] = Definition(
        plural="modelprofiles",
        namespaced=True,
        columns=_COLUMNS,
        selectable=(".spec.modelUri", ".spec.provenance"),
    )

    kind: Literal["ModelProfile"] = "ModelProfile"
    spec: ModelProfileSpec = Field(description="The figures.")
