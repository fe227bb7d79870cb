"""What is on record about a cluster: its ports and its processes, in one file of its home."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
from dataclasses import dataclass

from farthing_local import processes

FILE = "state.json"
_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """A process of the cluster, its port (none for the agent) and how to see whether it is well."""

    name: str
    process: processes.Identity
    port: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """`is_ready` once `up` has seen everything healthy."""

    server: str
    binaries: str
    audit: bool
    is_ready: bool = False
    components: tuple[Component, ...] = ()

    def with_component(self, component: Component) -> State:
        return dataclasses.replace(self, components=(*self.components, component))

    def as_ready(self) -> State:
        return dataclasses.replace(self, is_ready=True)

    def component(self, name: str) -> Component | None:
        return next((one for one in self.components if one.name == name), None)


def write(home: pathlib.Path, state: State) -> None:
    """Replace the record; a reader sees the old one or the new one, never a part."""
    document = {"version": _VERSION, **dataclasses.asdict(state)}
    temporary = home / f".{FILE}.tmp"
    temporary.write_text(json.dumps(document, indent=2) + "\n")
    temporary.chmod(0o600)
    os.replace(temporary, home / FILE)


def read(home: pathlib.Path) -> State | None:
    """The record of this home; none where there is none, or where it cannot be understood."""
    try:
        document = json.loads((home / FILE).read_text())
        if document.pop("version") != _VERSION:
            return None
        components = tuple(
            Component(**{**one, "process": processes.Identity(**one["process"])})
            for one in document.pop("components")
        )
        return State(**document, components=components)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
