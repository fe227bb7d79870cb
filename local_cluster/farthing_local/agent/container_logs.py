"""What a container printed: one file per run, bounded in size, read back as `kubectl logs` asks.

A process writes its file directly, so nothing it prints depends on the agent being alive. The
file is opened for appending: truncating it under the writer keeps it below its bound.
"""

from __future__ import annotations

import asyncio
import os
import pathlib
import shutil
from collections.abc import AsyncIterator, Callable
from typing import BinaryIO

LARGEST_BYTES = 10 * 1024 * 1024
_CHUNK_BYTES = 64 * 1024
_POLL_S = 0.2


class ContainerLogs:
    """The files of one container, numbered by run; the present and the previous one are kept."""

    def __init__(self, folder: pathlib.Path) -> None:
        self._folder = folder

    def open_run(self, run: int) -> BinaryIO:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for old in self._folder.glob("*.log*"):
            if int(old.name.split(".")[0]) < run - 1:
                old.unlink(missing_ok=True)
        return self.path(run).open("ab", buffering=0)

    def path(self, run: int) -> pathlib.Path:
        return self._folder / f"{run}.log"

    def bound(self, run: int, largest_bytes: int = LARGEST_BYTES) -> None:
        """Set the file aside and empty it once it is too long; what was aside before is lost."""
        path = self.path(run)
        if path.exists() and path.stat().st_size > largest_bytes:
            shutil.copyfile(path, path.with_suffix(".log.older"))
            with path.open("r+b") as file:
                file.truncate(0)


def tail_offset(path: pathlib.Path, lines: int | None) -> int:
    """Where the last so many lines of a file begin; the start for all of them."""
    if lines is None:
        return 0
    size = path.stat().st_size
    if lines <= 0:
        return size
    with path.open("rb") as file:
        wanted, at = lines, size
        # The newline that ends the last line does not begin another one.
        if size:
            file.seek(size - 1)
            wanted += file.read(1) == b"\n"
        while at > 0:
            start = max(0, at - _CHUNK_BYTES)
            file.seek(start)
            chunk = file.read(at - start)
            found = chunk.count(b"\n")
            if found >= wanted:
                return start + _nth_last(chunk, wanted) + 1
            wanted, at = wanted - found, start
    return 0


def _nth_last(chunk: bytes, count: int) -> int:
    position = len(chunk)
    for _ in range(count):
        position = chunk.rindex(b"\n", 0, position)
    return position


async def read(path: pathlib.Path, offset: int, follow: Callable[[], bool]) -> AsyncIterator[bytes]:
    """The file from the offset, and for as long as `follow` holds whatever is added to it."""
    with path.open("rb") as file:
        file.seek(offset)
        while True:
            # Asked before reading: what was written before the end is then read in any case.
            goes_on = follow()
            chunk = file.read(_CHUNK_BYTES)
            if chunk:
                yield chunk
            elif not goes_on:
                return
            else:
                # Shorter than what was read: it was emptied to keep its bound.
                if os.fstat(file.fileno()).st_size < file.tell():
                    file.seek(0)
                await asyncio.sleep(_POLL_S)
