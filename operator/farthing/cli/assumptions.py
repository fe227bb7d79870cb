"""The observation file of `farthing plan`: the instant, the load, what runs, and the labels of namespaces."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from farthing.api.fields import LabelValue, Name, VariantName
from farthing.api.part import Part
from farthing.cli import manifests
from farthing.cli.errors import RefusedInputError

DEFAULT_AT = datetime(2026, 1, 1, tzinfo=UTC)
_LONGEST_VALUE = 80
Rate = Annotated[float, Field(ge=0, le=10_000_000, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, le=1000)]

_ALLOWED = {
    "finite_number": "a number from 0 to 10000000",
    "greater_than_equal": "a number of at least {ge}",
    "less_than_equal": "a number of at most {le}",
    "float_type": "a number",
    "int_type": "a whole number",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "tuple_type": "a list",
    "string_type": "text",
}


class Load(Part):
    """Requests of one service."""

    requests_per_second: Rate
    queued: Rate = 0.0


class RunningReplicas(Part):
    """Replicas that the cluster is asked for in one place; `ready` of them can serve, all when it is absent."""

    variant: VariantName | None = None
    pool: Name
    count: Count
    ready: Count | None = None


class NamespaceLabels(Part):
    """The labels of one namespace."""

    labels: dict[str, LabelValue] = Field(default={})


class Assumptions(Part):
    """What is assumed to be seen. Services are named NAMESPACE/NAME."""

    at: Any = None
    load: dict[str, Load] = Field(default={})
    replicas: dict[str, Annotated[tuple[RunningReplicas, ...], Field(strict=False)]] | None = None
    namespaces: dict[str, NamespaceLabels] = Field(default={})


_PARTS: dict[object, type[Part]] = {
    "load": Load,
    "replicas": RunningReplicas,
    "namespaces": NamespaceLabels,
}


def read(path: Path) -> Assumptions:
    """The file's assumptions. Raises RefusedInputError with one line per problem."""
    documents = manifests.parsed(str(path), manifests.text_of(path))
    content = documents[0] if len(documents) == 1 else documents
    if not isinstance(content, dict):
        raise RefusedInputError(
            f"{path}: {_shown(content)} is refused; allowed: one mapping with at, load, replicas, "
            "namespaces"
        )
    try:
        return Assumptions.model_validate(content, by_alias=True, by_name=False)
    except ValidationError as error:
        raise RefusedInputError(
            [f"{path}: {_problem(found)}" for found in error.errors(include_url=False)]
        ) from error


def instant(value: object, source: str) -> datetime:
    """An instant with its zone; RefusedInputError where it is none."""
    found = value
    if isinstance(value, str):
        try:
            found = datetime.fromisoformat(value)
        except ValueError:
            found = None
    if not isinstance(found, datetime) or found.tzinfo is None:
        raise RefusedInputError(
            f"{source}: {str(value)!r} is refused; allowed: an instant with its zone, such as "
            "2026-01-01T00:00:00Z"
        )
    return found.astimezone(UTC)


def _problem(error: Any) -> str:
    path = ""
    for step in error["loc"]:
        path += f"[{step}]" if isinstance(step, int) else f".{step}"
    path = path.lstrip(".")
    if error["type"] == "missing":
        return f"{path}: missing; allowed: a value, which is required"
    return f"{path}: {_shown(error['input'])} is refused; allowed: {_allowed(error)}"


def _shown(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 3]}..."


def _allowed(error: Any) -> str:
    if error["type"] == "extra_forbidden":
        at_the_top = len(error["loc"]) == 1
        part = Assumptions if at_the_top else _PARTS[error["loc"][0]]
        return "one of " + ", ".join(str(field.alias) for field in part.model_fields.values())
    context = error.get("ctx", {})
    return str(
        context.get("allowed") or _ALLOWED.get(error["type"], error["msg"]).format(**context)
    )
