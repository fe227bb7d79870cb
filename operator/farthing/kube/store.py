"""The five custom kinds as they are now, decoded once per version.

Two writers meet here: kopf's events, which are quick, and the periodic list, which is complete.
Versions decide: an older state never replaces a newer one, and a list removes only what it is
newer than.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from farthing.api import (
    CapacityPool,
    ClusterBudget,
    InferenceRuntime,
    InferenceService,
    InvalidResource,
    ModelProfile,
    decode,
)
from farthing.kube import documents
from farthing.kube.documents import Json

Decoded = InferenceService | CapacityPool | InferenceRuntime | ModelProfile | ClusterBudget


@dataclass(frozen=True, slots=True)
class Entry:
    """One object: as it is stored, and either its typed form or what is wrong with it."""

    document: Json
    resource: Decoded | None
    problem: str | None

    @property
    def key(self) -> str:
        return documents.key(self.document)


class Store:
    """All objects by kind and `namespace/name`. Used from one thread only."""

    def __init__(self, on_change: Callable[[], None] = lambda: None) -> None:
        self._entries: dict[str, dict[str, Entry]] = {}
        self._on_change = on_change

    def put(self, document: Json) -> None:
        """Take a state of an object, unless a newer one is known."""
        kind, key = str(document.get("kind")), documents.key(document)
        known = self._entries.setdefault(kind, {}).get(key)
        if known is not None and documents.version(known.document) >= documents.version(document):
            return
        documents.without_managed_fields(document)
        self._entries[kind][key] = _decoded(document)
        if known is None or _intent(known.document) != _intent(document):
            self._on_change()

    def remove(self, document: Json) -> None:
        """Forget an object that was deleted, unless it was made anew since."""
        kind, key = str(document.get("kind")), documents.key(document)
        known = self._entries.get(kind, {}).get(key)
        if known is not None and documents.version(known.document) <= documents.version(document):
            del self._entries[kind][key]
            self._on_change()

    def replace(self, kind: str, listed: Iterable[Json], version: int) -> int:
        """Take a complete list of a kind; how many ghosts it removed."""
        found = {documents.key(one): one for one in listed}
        entries = self._entries.setdefault(kind, {})
        ghosts = [
            key
            for key, entry in entries.items()
            if key not in found and documents.version(entry.document) <= version
        ]
        for key in ghosts:
            del entries[key]
        for one in found.values():
            self.put(one)
        if ghosts:
            self._on_change()
        return len(ghosts)

    def entries(self, kind: str) -> tuple[Entry, ...]:
        """All objects of a kind in the order of their keys."""
        entries = self._entries.get(kind, {})
        return tuple(entries[key] for key in sorted(entries))


def _intent(document: Json) -> object:
    """What people change. A new status is our own doing and no reason to decide again."""
    metadata = documents.part(document, "metadata")
    names = ("uid", "generation", "labels", "deletionTimestamp")
    return tuple(metadata.get(name) for name in names)


def _decoded(document: Json) -> Entry:
    try:
        return Entry(document, decode(document), None)
    except InvalidResource as error:
        return Entry(document, None, str(error))
