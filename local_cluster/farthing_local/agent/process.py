"""One local process in a session of its own: its start, its end, and its whole group.

Ends are noticed through a pidfd, which any event loop can watch; no child watcher, no threads.
Every process is on record while it runs, so that a later agent can end what this one left.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pathlib
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from typing import BinaryIO


class CannotStartError(Exception):
    """The program does not exist or may not be executed."""


class Process:
    """A started process; `wait` gives its exit code, 128 plus the signal for a killed one."""

    def __init__(self, popen: subprocess.Popen[bytes], records: ProcessRecords) -> None:
        self._popen, self._records = popen, records
        self._ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._pidfd = os.pidfd_open(popen.pid)
        asyncio.get_running_loop().add_reader(self._pidfd, self._reap)

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def has_ended(self) -> bool:
        return self._ended.done()

    async def wait(self) -> int:
        return await asyncio.shield(self._ended)

    def signal(self, number: signal.Signals) -> None:
        """Signal the whole group, unless the process has ended."""
        if not self.has_ended:
            _signal_group(self.pid, number)

    def _reap(self) -> None:
        # What the process leaves behind in its group ends with it, as in a container. Its own pid
        # stays taken until it is waited for, so the group cannot be anyone else's yet.
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)
        _signal_group(self.pid, signal.SIGKILL)
        code = self._popen.wait()
        self._records.remove(self.pid)
        self._ended.set_result(code if code >= 0 else 128 - code)


class ProcessRecords:
    """The pids that run, each a file with the start time that tells it from a later namesake."""

    def __init__(self, folder: pathlib.Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def start(
        self, argv: Sequence[str], *, env: Mapping[str, str], cwd: pathlib.Path, output: BinaryIO
    ) -> Process:
        try:
            popen = subprocess.Popen(
                list(argv),
                env=dict(env),
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            raise CannotStartError(f"{argv[0]}: {error}") from error
        record = {"pid": popen.pid, "startTicks": _start_ticks(popen.pid), "bootId": _boot_id()}
        self._file(popen.pid).write_text(json.dumps(record))
        return Process(popen, self)

    def remove(self, pid: int) -> None:
        self._file(pid).unlink(missing_ok=True)

    def end_leftovers(self) -> int:
        """End what an agent that was killed has left running; how many there were."""
        ended = 0
        for file in self._folder.glob("*.json"):
            with contextlib.suppress(ValueError, KeyError):
                record = json.loads(file.read_text())
                if record["bootId"] == _boot_id():
                    ended += _end_session(int(record["pid"]), int(record["startTicks"]))
            file.unlink(missing_ok=True)
        return ended

    def _file(self, pid: int) -> pathlib.Path:
        return self._folder / f"{pid}.json"


def _signal_group(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def _boot_id() -> str:
    return pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat that follow the command's name, which may hold spaces."""
    text = pathlib.Path(f"/proc/{pid}/stat").read_text()
    return text.rpartition(")")[2].split()


def _start_ticks(pid: int) -> int:
    return int(_stat(pid)[19])


def _end_session(session: int, start_ticks: int) -> int:
    """Kill every member of a session, provided its number was not taken by another since."""
    ended = 0
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        if _start_ticks(session) != start_ticks:
            return 0
    for pid in _pids():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
            if int(_stat(pid)[3]) == session:
                os.kill(pid, signal.SIGKILL)
                ended += 1
    return ended


def _pids() -> Iterator[int]:
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            yield int(entry.name)
