"""What can go wrong in ways that a person can do something about.

LocalClusterError          a sentence, and the next step
    ├── BuildError             a binary could not be built
    ├── PlatformError          this machine cannot host the cluster
    ├── HomeError              the state folder cannot be used
    ├── SettingError           a file or value given by the user cannot be used
    └── ComponentError         a component did not start, did not become healthy, or refused
        └── PortTakenError     it lost its port to another program in between: try again
"""

from __future__ import annotations

_LIMIT = 220


class LocalClusterError(Exception):
    """Says what happened in one line, and what to do next."""

    def __init__(self, problem: str, *, next_step: str = "") -> None:
        super().__init__(f"{problem} {next_step}".strip())
        self.problem, self.next_step = problem, next_step


class BuildError(LocalClusterError):
    pass


class PlatformError(LocalClusterError):
    pass


class HomeError(LocalClusterError):
    pass


class SettingError(LocalClusterError):
    pass


class ComponentError(LocalClusterError):
    pass


class PortTakenError(ComponentError):
    pass


def shortened(line: str) -> str:
    """The end of a long line, where the cause stands."""
    line = " ".join(line.split())
    return line if len(line) <= _LIMIT else f"…{line[-_LIMIT:]}"
