"""From a parsed document to a typed resource, or to a clear refusal.

    InvalidResource     the document cannot be accepted; one line per problem

It is the only exception of this package: whatever mapping comes in, a typed
resource or an `InvalidResource` comes out.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

from pydantic import ValidationError

from farthing.api import schema
from farthing.api.capacity_pool import CapacityPool
from farthing.api.cluster_budget import ClusterBudget
from farthing.api.inference_runtime import InferenceRuntime
from farthing.api.inference_service import InferenceService
from farthing.api.model_profile import ModelProfile
from farthing.api.part import Path
from farthing.api.resource import GROUP, VERSION
from farthing.api.schema import Node

AnyResource = InferenceService | CapacityPool | InferenceRuntime | ModelProfile | ClusterBudget

KINDS: Mapping[
    str,
    type[InferenceService]
    | type[CapacityPool]
    | type[InferenceRuntime]
    | type[ModelProfile]
    | type[ClusterBudget],
] = {
    "InferenceService": InferenceService,
    "CapacityPool": CapacityPool,
    "InferenceRuntime": InferenceRuntime,
    "ModelProfile": ModelProfile,
    "ClusterBudget": ClusterBudget,
}

_LONGEST_SHOWN = 80
_DEEPEST_SHOWN = 4
_MOST_SHOWN = 20


class Problem(NamedTuple):
    """One thing wrong with a document. A value of None means that it is missing; `unknown`
    means that there is no field of this name, and `allowed` lists those that there are.
    """

    path: str
    value: object
    allowed: str
    unknown: bool = False

    def __str__(self) -> str:
        if self.unknown:
            return f"{self.path}: unknown field; allowed: {self.allowed}"
        if self.value is None:
            return f"{self.path}: missing; allowed: {self.allowed}"
        return f"{self.path}: {_shown(self.value)} is refused; allowed: {self.allowed}"


class InvalidResource(Exception):  # noqa: N818 - it names the document, as a condition does
    """A document that is not an acceptable resource. The message has one line per problem."""

    def __init__(
        self, kind: str, namespace: str | None, name: str, problems: tuple[Problem, ...]
    ) -> None:
        self.kind = kind
        self.namespace = namespace
        self.name = name
        self.problems = problems
        identity = f"{namespace}/{name}" if namespace else name
        super().__init__("\n".join(f"{kind} {identity}: {problem}" for problem in problems))


def decode(document: object) -> AnyResource:
    """The typed resource that `document` spells, defaults applied.

    As at the API server, a field that is null counts as absent. Raises InvalidResource.
    """
    if not isinstance(document, Mapping):
        raise InvalidResource(
            "document", None, "(no name)", (Problem("(root)", document, "an object of Farthing"),)
        )
    kind, namespace, name = _identity(document)
    expected = f"{GROUP}/{VERSION}"
    if document.get("apiVersion") != expected:
        problem = Problem("apiVersion", document.get("apiVersion"), expected)
        raise InvalidResource(kind, namespace, name, (problem,))
    if kind not in KINDS:
        problem = Problem("kind", document.get("kind"), "one of " + ", ".join(KINDS))
        raise InvalidResource(kind, namespace, name, (problem,))
    root = schema.of_resource(KINDS[kind])
    try:
        return KINDS[kind].model_validate(
            _without_nulls(document, root), by_alias=True, by_name=False
        )
    except ValidationError as error:
        problems = tuple(
            problem
            for found in _independent(error.errors(include_url=False))
            for problem in _problems(found, root)
        )
        raise InvalidResource(kind, namespace, name, problems) from error


def _identity(document: Mapping[Any, Any]) -> tuple[str, str | None, str]:
    kind, metadata = document.get("kind"), document.get("metadata")
    known = metadata if isinstance(metadata, Mapping) else {}
    namespace, name = known.get("namespace"), known.get("name")
    return (
        kind if isinstance(kind, str) else "document",
        namespace if isinstance(namespace, str) else None,
        name if isinstance(name, str) else "(no name)",
    )


def _without_nulls(value: Any, node: Node) -> Any:
    """The document without the known fields that are null, as the API server reads it.

    The walk follows the schema, so neither depth nor cycles of a document matter.
    """
    if isinstance(value, Mapping) and node:
        known, others = node.get("properties", {}), node.get("additionalProperties")
        return {
            key: _without_nulls(item, known.get(key) or others or {})
            for key, item in value.items()
            if item is not None or not (key in known or others)
        }
    if isinstance(value, list) and "items" in node:
        return [_without_nulls(item, node["items"]) for item in value]
    return value


def _independent(errors: Sequence[Any]) -> Iterator[Any]:
    """The errors without those that only follow from others: a list whose items were
    refused is also called too short.
    """
    deepest = {error["loc"][:depth] for error in errors for depth in range(len(error["loc"]))}
    for error in errors:
        if error["type"] != "too_short" or error["loc"] not in deepest:
            yield error


def _problems(error: Any, root: Node) -> list[Problem]:
    location: Path = tuple(step for step in error["loc"] if step != "[key]")
    path, context = _dotted(location), error.get("ctx", {})
    if error["type"] == "contradiction":
        return [
            Problem(_dotted(location + found.path), found.value, found.allowed)
            for found in context["found"]
        ]
    if error["type"] == "extra_forbidden":
        known = ", ".join(schema.node_at(root, location[:-1]).get("properties", {}))
        return [Problem(path, error["input"], known or "no fields", unknown=True)]
    allowed = context.get("allowed") or schema.allowed_by(schema.node_at(root, location))
    missing = error["type"] == "missing"
    return [Problem(path, None if missing else error["input"], allowed)]


def _dotted(location: Path) -> str:
    text = ""
    for step in location:
        text += f"[{step}]" if isinstance(step, int) else f".{step}"
    return text.lstrip(".") or "(root)"


def _shown(value: object) -> str:
    """The value as JSON in ASCII, so that no control or bidi character reaches a terminal."""
    text = json.dumps(_clipped(value, _DEEPEST_SHOWN), default=str)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 3]}..."


def _clipped(value: object, depth: int) -> object:
    """The beginning of the value: it may be huge, or, by YAML's aliases, contain itself."""
    if not isinstance(value, Mapping | list):
        return value[:_LONGEST_SHOWN] if isinstance(value, str) else value
    if depth == 0:
        return "..."
    if isinstance(value, Mapping):
        pairs = islice(value.items(), _MOST_SHOWN)
        return {str(key): _clipped(item, depth - 1) for key, item in pairs}
    return [_clipped(item, depth - 1) for item in value[:_MOST_SHOWN]]
