"""Progress on stderr: a live line on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self, TextIO

# How often a log gets a line; seldom enough to stay readable, often enough to show life.
LINE_EVERY_S = 15.0
_REDRAW_EVERY_S = 0.2


def duration(seconds: float) -> str:
    """Seconds as a person reads them: 9 s, 4 min 10 s."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


class Progress:
    """One task with a title: `show` says how far it is, leaving says how long it took."""

    def __init__(self, title: str, *, stream: TextIO | None = None) -> None:
        self._title = title
        self._stream = sys.stderr if stream is None else stream
        self._live = self._stream.isatty()
        self._started = self._shown = time.monotonic()

    def __enter__(self) -> Self:
        if not self._live:
            self._write(f"{self._title}\n")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        outcome = "done" if kind is None else "stopped"
        clear = "\r\x1b[2K" if self._live else ""
        self._write(f"{clear}{self._title}: {outcome} after {duration(self.elapsed_s)}\n")

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self._started

    def show(self, detail: str) -> None:
        """Say how far the task is; called as often as one likes, shown as often as fits."""
        now = time.monotonic()
        if now - self._shown < (_REDRAW_EVERY_S if self._live else LINE_EVERY_S):
            return
        self._shown = now
        line = f"{self._title}: {detail}, {duration(self.elapsed_s)}"
        self._write(f"\r\x1b[2K{line[:118]}" if self._live else f"{line}\n")

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def say(text: str) -> None:
    """One line on stderr."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
