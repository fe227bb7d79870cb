"""Reading Kubernetes objects, which arrive as JSON documents of which any part may be absent."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from typing import Any, TypeAlias

Json: TypeAlias = dict[str, Any]


def part(document: Json, *path: str) -> Json:
    """The object at this path, or an empty one where any step of it is missing or null."""
    current: Any = document
    for step in path:
        current = current.get(step) or {}
    return dict(current)


def items(document: Json, *path: str) -> list[Json]:
    """The list of objects at this path, or an empty one."""
    return list(part(document, *path[:-1]).get(path[-1]) or [])


def uid(document: Json) -> str:
    return str(document["metadata"]["uid"])


def name(document: Json) -> str:
    return str(document["metadata"]["name"])


def namespace(document: Json) -> str:
    return str(document["metadata"].get("namespace", ""))


def timestamp(instant: datetime.datetime) -> str:
    """An instant as the API writes it in most places: whole seconds, UTC."""
    return instant.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def micro_timestamp(instant: datetime.datetime) -> str:
    """An instant as Leases and Events write it: with microseconds."""
    return instant.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def matches(selector: Json, labels: Json) -> bool:
    """Whether every pair of the selector is among the labels."""
    return all(labels.get(key) == value for key, value in selector.items())


def by_name(entries: Iterable[Json]) -> dict[str, Json]:
    return {str(entry["name"]): entry for entry in entries}
