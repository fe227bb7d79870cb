"""What can go wrong in ways that a person can mend.

DemoError              a sentence, and the next step: exit code 1
    └── RefusedError       a setting that is not allowed: exit code 2
"""

from __future__ import annotations


class DemoError(Exception):
    """Says what happened in one line, and what to do next."""

    def __init__(self, problem: str, *, next_step: str) -> None:
        super().__init__(f"{problem} {next_step}")


class RefusedError(DemoError):
    pass
