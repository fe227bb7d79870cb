"""Objects of the API server as plain JSON: how they are named, read and timed.

Reading a missing or wrongly typed part gives an empty one, so that an object written by
somebody else can never stop a tick.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, TypeAlias

Json: TypeAlias = dict[str, Any]

MANAGED_BY = "app.kubernetes.io/managed-by"
NAME = "app.kubernetes.io/name"
FARTHING = "farthing"
OWN_CHILDREN = f"{MANAGED_BY}={FARTHING}"
SERVICE = "farthing.dev/service"
POOL = "farthing.dev/pool"
VARIANT = "farthing.dev/variant"
APPLIED = "farthing.dev/applied"
TARGET = "farthing.dev/target"


def part(document: Json, *path: str) -> Json:
    """The mapping below `path`, empty where there is none."""
    found: Any = document
    for step in path:
        found = found.get(step) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}


def items(document: Json, *path: str) -> list[Json]:
    """The mappings of the list below `path`, none where there is no list."""
    found = part(document, *path[:-1]).get(path[-1])
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def labels(document: Json) -> Json:
    return part(document, "metadata", "labels")


def annotations_of(document: Json) -> Json:
    return part(document, "metadata", "annotations")


def key(document: Json) -> str:
    """`namespace/name`, or `name` of what lives in no namespace."""
    metadata = part(document, "metadata")
    namespace = metadata.get("namespace")
    return f"{namespace}/{metadata['name']}" if namespace else str(metadata["name"])


def uid(document: Json) -> str:
    return str(part(document, "metadata").get("uid", ""))


def version(document: Json) -> int:
    """The resource version, which orders the states of one object; 0 where there is none."""
    text = str(part(document, "metadata").get("resourceVersion", ""))
    return int(text) if text.isdigit() else 0


def controller_uid(document: Json) -> str | None:
    """The uid of the object that controls this one."""
    for owner in items(document, "metadata", "ownerReferences"):
        if owner.get("controller") is True:
            return str(owner.get("uid"))
    return None


def condition(document: Json, kind: str) -> Json:
    """The condition of this type in the object's status, empty where there is none."""
    for one in items(document, "status", "conditions"):
        if one.get("type") == kind:
            return one
    return {}


def instant(text: object) -> datetime | None:
    """An RFC 3339 instant of the API server in UTC; None where it is none."""
    if not isinstance(text, str):
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


def timestamp(at: datetime) -> str:
    """An instant as metav1.Time spells it: whole seconds."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def precise_timestamp(at: datetime) -> str:
    """An instant as metav1.MicroTime spells it."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def without_managed_fields(document: Json) -> Json:
    """The object without its field ownership, which is half of its size and never read."""
    document["metadata"].pop("managedFields", None)
    return document
