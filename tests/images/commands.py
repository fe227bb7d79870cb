"""Long commands: what they say is shown while they run, and only its end is kept."""

from __future__ import annotations

import collections
import subprocess
from collections.abc import Callable, Mapping, Sequence

from tests.images.errors import ImageError

from farthing_local import progress

_TAIL_LINES = 12
# Others may work on this machine as well.
_POLITELY = ("nice", "-n", "5")


def run_shown(
    title: str,
    command: Sequence[str],
    failed: Callable[[int, list[str]], ImageError],
    environment: Mapping[str, str] | None = None,
) -> None:
    """Run to the end. Raises what `failed` makes of a code other than 0 and the last lines."""
    tail: collections.deque[str] = collections.deque(maxlen=_TAIL_LINES)
    with progress.Progress(title) as shown:
        process = subprocess.Popen(
            [*_POLITELY, *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=environment,
        )
        assert process.stdout is not None
        try:
            for line in process.stdout:
                if stripped := line.strip():
                    tail.append(stripped)
                    shown.show(stripped[:100])
        finally:
            if process.poll() is None:
                process.terminate()
            code = process.wait()
        if code:
            raise failed(code, list(tail))


def last_line(text: str) -> str:
    """Where a program that failed usually says why."""
    return (text.strip().splitlines() or ["it said nothing"])[-1]
