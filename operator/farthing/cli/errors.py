"""What a command says when it cannot answer: one line per problem, with the next step, and never a traceback.

CommandError               exit 1: something outside went wrong
├── AccessError            no way to reach or read the API server
├── MissingError           what was asked for does not exist
└── RefusedInputError      exit 2: what was given cannot be accepted
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import IO, Any

import click

FAILED = 1
REFUSED = 2
BLIND = 3


class CommandError(click.ClickException):
    """A command that cannot answer. `problems` are shown one per line."""

    exit_code = FAILED

    def __init__(self, problems: str | Iterable[str], next_step: str = "") -> None:
        self.problems = (problems,) if isinstance(problems, str) else tuple(problems)
        self.next_step = next_step
        super().__init__("\n".join(self.problems))

    def show(self, file: IO[Any] | None = None) -> None:
        """The problems and the next step on stderr."""
        for problem in self.problems:
            click.echo(f"Error: {problem}", file=file, err=file is None)
        if self.next_step:
            click.echo(f"Next: {self.next_step}", file=file, err=file is None)


class AccessError(CommandError):
    """The API server cannot be reached, or it refuses to tell."""


class MissingError(CommandError):
    """There is no such object."""


class RefusedInputError(CommandError):
    """A file, option or variable that cannot be accepted."""

    exit_code = REFUSED
