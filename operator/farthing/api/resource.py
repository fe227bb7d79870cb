"""What the five kinds have in common: the envelope and how kubectl shows them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import ConfigDict, Field

from farthing.api.part import Contradiction, Extra, Part, quoted, rule_between

GROUP = "farthing.dev"
VERSION = "v1alpha1"
LONGEST_NAME = 50  # leaves room for "-<variant>-<pool>" in the names of children
LABEL_NAME = f"at most {LONGEST_NAME} lower-case letters, digits and hyphens"


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
    # Names become parts of the names of children and values of labels: no dots.
    name_pattern: str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
    name_allowed: str = LABEL_NAME

    def name_rule(self) -> Extra:
        """The CEL rule on the name of an object of this kind."""
        return rule_between(
            f"self.metadata.name.matches('{self.name_pattern}')",
            refuses=quoted("self.metadata.name"),
            allowed=self.name_allowed,
            field="metadata.name",
        )


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

    def contradictions(self) -> Iterator[Contradiction]:
        if not re.fullmatch(self.definition.name_pattern[1:-1], self.metadata.name):
            yield Contradiction(
                ("metadata", "name"), self.metadata.name, self.definition.name_allowed
            )
