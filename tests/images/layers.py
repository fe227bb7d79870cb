"""Nothing of the machine that builds an image may be in it: not in a layer, not in its configuration."""

from __future__ import annotations

import json
import os
import pathlib
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# Empty in every image: what stands there is the machine's, mounted or copied in.
_MUST_BE_EMPTY = ("pip.conf", ".netrc", ".pypirc", "resolv.conf", "hostname", "hosts")
_CACHES = ("root/.cache", "var/cache/apt/archives", "run/secrets")
_CHUNK_BYTES = 1 << 22


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Bytes by which something of the machine is recognised, and what they are of."""

    name: str
    content: bytes


def marks(hosts: Iterable[str], certificates: Iterable[str], settings: str) -> list[Mark]:
    """What to look for: host names, pip's settings, and of each certificate a line of its signature."""
    found = [Mark(name=f"the host name {host}", content=host.encode()) for host in sorted(hosts)]
    if settings:
        found.append(Mark(name="this machine's settings of pip", content=settings.encode()))
    for body in certificates:
        lines = body.split("\n")
        line = lines[-2] if len(lines) > 1 else lines[0]
        found.append(
            Mark(name="a certificate that only this machine trusts", content=line.encode())
        )
    return found


def findings(layers: Sequence[pathlib.Path], looked_for: Sequence[Mark]) -> list[str]:
    """Sentences about what is in the layers and must not be; none when all is well."""
    return [sentence for layer in layers for sentence in _in_layer(layer, looked_for)]


def _in_layer(layer: pathlib.Path, looked_for: Sequence[Mark]) -> Iterable[str]:
    for folder, folders, files in os.walk(layer):
        folders.sort()
        for name in sorted(files):
            path = pathlib.Path(folder, name)
            status = path.lstat()
            if not stat.S_ISREG(status.st_mode) or status.st_size == 0:
                continue
            inside = path.relative_to(layer).as_posix()
            if name in _MUST_BE_EMPTY and not inside.startswith("usr/"):
                yield f"/{inside} is not empty"
            if any(inside.startswith(f"{cache}/") for cache in _CACHES):
                yield f"/{inside} was left behind by the build"
            yield from (f"/{inside} holds {mark.name}" for mark in _present(path, looked_for))


def _present(path: pathlib.Path, looked_for: Sequence[Mark]) -> list[Mark]:
    """The marks in a file; read in pieces that overlap by the longest mark."""
    overlap = max((len(mark.content) for mark in looked_for), default=0)
    found: list[Mark] = []
    rest = b""
    with path.open("rb") as file:
        while piece := file.read(_CHUNK_BYTES):
            piece = rest + piece
            found += [mark for mark in looked_for if mark not in found and mark.content in piece]
            rest = piece[-overlap:] if overlap else b""
    return found


def configuration_findings(
    inspected: Mapping[str, Any], allowed: Mapping[str, str], looked_for: Sequence[Mark]
) -> list[str]:
    """The same for what `inspect` says: exactly the variables of the Dockerfile, and no mark anywhere."""
    variables = dict(entry.split("=", 1) for entry in inspected["Config"].get("Env", []))
    problems = []
    if variables != dict(allowed):
        names = sorted(set(variables.items()) ^ set(allowed.items()))
        problems.append(f"the environment differs from the Dockerfile's: {dict(names)}")
    if inspected["Config"].get("User") != "65532:65532":
        problems.append(f"the user is {inspected['Config'].get('User')!r}, not 65532:65532")
    text = json.dumps([inspected["Config"], inspected.get("History", [])]).encode()
    problems += [f"its configuration holds {one.name}" for one in looked_for if one.content in text]
    return problems
