"""What the five kinds have in common: the envelope and how kubectl shows them."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import ConfigDict, Field

from farthing.api.part import Part

GROUP = "farthing.dev"
VERSION = "v1alpha1"
LONGEST_NAME = 50  # leaves room for "-<variant>-<pool>" in the names of children


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of `kubectl get`. Wide ones appear with `-o wide` only."""

    name: str
    path: str
    description: str
    type: Literal["string", "integer", "date"] = "string"
    wide: bool = False


AGE = Column(
    name="Age",
    path=".metadata.creationTimestamp",
    type="date",
    description="Time since the object was created.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """The part of a CRD that is not the schema."""

    plural: str
    namespaced: bool
    columns: tuple[Column, ...]
    short_names: tuple[str, ...] = ()
    selectable: tuple[str, ...] = ()
    scalable: bool = False


class Metadata(Part):
    """The parts of an object's metadata that Farthing reads."""

    model_config = ConfigDict(extra="ignore")

    name: str = Field(min_length=1, max_length=LONGEST_NAME)
    namespace: str | None = Field(default=None, max_length=63)
    uid: str | None = None
    generation: int | None = None
    resource_version: str | None = None
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    labels: dict[str, str] = Field(default={})


class Resource(Part):
    """The envelope of a custom resource of `farthing.dev/v1alpha1`."""

    definition: ClassVar[Definition]

    api_version: Literal["farthing.dev/v1alpha1"] = "farthing.dev/v1alpha1"
    kind: str
    metadata: Metadata
