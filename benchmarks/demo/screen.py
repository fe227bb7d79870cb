"""Where views go: a live picture on a terminal, plain lines everywhere else."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from benchmarks.demo import view
from rich import console, live

LIVE_EVERY_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Screen:
    """Takes views, and how often it wants one."""

    show: Callable[[view.View], None]
    every_s: float


@contextlib.contextmanager
def opened() -> Iterator[Screen]:
    """The live picture where somebody looks; its last state stays on the screen."""
    if not sys.stdout.isatty() or os.environ.get("TERM") == "dumb":
        yield Screen(show=PlainLines(print_line).show, every_s=view.LINE_EVERY_S)
        return
    # rich leaves out colors by itself where NO_COLOR is set.
    with live.Live(console=console.Console(), auto_refresh=False) as picture:
        yield Screen(
            show=lambda seen: picture.update(view.rendered(seen), refresh=True),
            every_s=LIVE_EVERY_S,
        )


class PlainLines:
    """Each event once, then where every service stands."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._told = 0

    def show(self, seen: view.View) -> None:
        for event in seen.events[self._told :]:
            self._write(view.plain_event(event))
        self._told = len(seen.events)
        for line in view.plain_lines(seen):
            self._write(line)


def print_line(line: str) -> None:
    print(line, flush=True)
