"""Understanding what `go` says: how far it is, and why it failed. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from farthing_local import errors

_NETWORK = re.compile(
    r"dial tcp|no such host|connection refused|i/o timeout|TLS handshake|proxyconnect"
    r"|network is unreachable|unexpected EOF|x509: |server response:|\b(403|404|410|502|503) [A-Z]"
    r"|module lookup disabled"
)
_CHECKSUM = re.compile(r"checksum mismatch|SECURITY ERROR|missing go\.sum entry")
_DISK = re.compile(r"no space left on device|disk quota exceeded")
_KILLED = re.compile(r"signal: killed|cannot allocate memory")

# What is looked for, from the surest cause to the vaguest; what it means; what to do.
_CAUSES = (
    (
        _DISK,
        "the disk of {cache} is full",
        "Free some room, or name a folder on another disk in FARTHING_CACHE; then run this again.",
    ),
    (
        _CHECKSUM,
        "a downloaded module is not the one that go.sum names",
        "Do not go on with what a proxy has changed; check GOPROXY and GOFLAGS.",
    ),
    (
        _NETWORK,
        "its Go modules could not be downloaded",
        "Check the network or GOPROXY, then run this again: what is here already is kept.",
    ),
    (
        _KILLED,
        "the compiler was killed, probably for want of memory",
        "Free some memory (about 3 GiB are needed), then run this again.",
    ),
)


def failure(
    title: str, lines: Sequence[str], *, code: int, log: str, cache: str
) -> errors.BuildError:
    """One line on what went wrong, and what to do, from the output of a failed `go`."""
    for pattern, meaning, next_step in _CAUSES:
        found = [line for line in lines if pattern.search(line)]
        if found:
            said = errors.shortened(found[-1])
            problem = f"{title} could not be built: {meaning.format(cache=cache)} ({said})."
            return errors.BuildError(problem, next_step=next_step)
    last = next((line for line in reversed(lines) if line.strip()), "no output")
    return errors.BuildError(
        f"{title} could not be built: go ended with {code} ({errors.shortened(last)}).",
        next_step=f"All of its output is in {log}.",
    )


def is_download(line: str) -> bool:
    return line.startswith("go: downloading ")


def is_package(line: str) -> bool:
    """Whether this is a package that `go build -v` names as it compiles it."""
    return bool(line) and not line.startswith(("go: ", "#", "\t", "-")) and " " not in line
