"""What ends a run of the image tests: one line that says what happened, and what to do next."""

from __future__ import annotations


class ImageError(Exception):
    """An image cannot be built, does not keep a promise, or this machine cannot run it."""

    def __init__(self, problem: str, *, next_step: str) -> None:
        super().__init__(f"{problem} {next_step}")
        self.problem, self.next_step = problem, next_step
