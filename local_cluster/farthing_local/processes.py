"""Processes that outlive their starter: told apart from later ones with the same number.

A pid alone says nothing: after a crash it may belong to anybody. So each is remembered with the
boot and the instant of its start, and nothing is signaled unless both still agree.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import signal
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

_POLL_S = 0.02
_SPAWN_FILE_MODE = 0o600


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """One process for ever: no other one has the same number, start and boot."""

    pid: int
    start_ticks: int
    boot_id: str


def start(argv: Sequence[str], *, env: Mapping[str, str], log: pathlib.Path) -> Identity:
    """Start a program as the leader of a session of its own, with its output in a file."""
    log.parent.mkdir(parents=True, exist_ok=True)
    output = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    pid = os.posix_spawn(
        argv[0],
        list(argv),
        dict(env),
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), output, _SPAWN_FILE_MODE),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
        # A starter that ignores Ctrl-C, such as a shell's background job, must not pass it on.
        setsigdef=[signal.SIGINT, signal.SIGTERM, signal.SIGHUP],
    )
    return Identity(pid=pid, start_ticks=_start_ticks(pid), boot_id=boot_id())


def boot_id() -> str:
    """What tells this run of the machine from the one before."""
    return pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def is_alive(process: Identity) -> bool:
    """Whether exactly this process runs; one that waits to be collected does not."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(process.pid, os.WNOHANG)
    try:
        fields = _stat(process.pid)
    except (FileNotFoundError, ProcessLookupError):
        return False
    is_same = int(fields[19]) == process.start_ticks and process.boot_id == boot_id()
    return is_same and fields[0] not in ("Z", "X")


def rss_mib(process: Identity) -> float:
    """Memory that the process occupies now; 0 when it has ended."""
    try:
        pages = int(pathlib.Path(f"/proc/{process.pid}/statm").read_text().split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def stop(several: Iterable[Identity], *, patience_s: float) -> list[Identity]:
    """Ask these processes to end, kill those that do not, wait for all; who had to be killed."""
    running = [process for process in several if is_alive(process)]
    for process in running:
        _signal(process, signal.SIGTERM)
    stubborn = wait_gone(running, limit_s=patience_s)
    for process in stubborn:
        _signal(process, signal.SIGKILL)
    # Not even SIGKILL ends a process inside a system call at once.
    wait_gone(stubborn, limit_s=patience_s)
    return stubborn


def wait_gone(several: Sequence[Identity], *, limit_s: float) -> list[Identity]:
    """Wait until none of them runs; those that still do at the end of the time."""
    deadline = time.monotonic() + limit_s
    remaining = [process for process in several if is_alive(process)]
    while remaining and time.monotonic() < deadline:
        time.sleep(_POLL_S)
        remaining = [process for process in remaining if is_alive(process)]
    return remaining


def strays(programs: Mapping[str, str], home: pathlib.Path) -> list[tuple[str, Identity]]:
    """Processes of these programs that work for this home, whether on record or not, by name.

    `programs` maps a word of their command lines, such as the program's file, to the name. Finds
    what was started in the instant before a starter was killed, and what is left when the record
    is lost. Every component names files under its home on its command line.
    """
    found = []
    for pid in _pids():
        with contextlib.suppress(OSError):
            argv = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
            words = argv.split("\0")
            names = [programs[base] for base in map(os.path.basename, words) if base in programs]
            if names and any(f"{home}/" in word for word in words) and pid != os.getpid():
                identity = Identity(pid=pid, start_ticks=_start_ticks(pid), boot_id=boot_id())
                found.append((names[0], identity))
    return found


def _signal(process: Identity, number: signal.Signals) -> None:
    if is_alive(process):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(process.pid, number)


def _pids() -> Iterator[int]:
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            yield int(entry.name)


def _stat(pid: int) -> list[str]:
    """What follows the program's name in /proc/PID/stat; the name may hold spaces and brackets."""
    return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _start_ticks(pid: int) -> int:
    return int(_stat(pid)[19])
