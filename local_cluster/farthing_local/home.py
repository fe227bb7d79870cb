"""The folder of one cluster: what may be in it, how it is made, how it is emptied."""

from __future__ import annotations

import pathlib
import shutil

from farthing_local import components, errors, paths, state
from farthing_local.agent.process import ProcessRecords
from farthing_local.components import Layout

# A word of a process's command line that says which component it is.
PROGRAMS = {
    **{name: name for name in components.NAMES if name != components.NODE_AGENT},
    "farthing_local.agent": components.NODE_AGENT,
    components.PROMETHEUS: components.PROMETHEUS,
    components.KWOK: components.KWOK,
}
_LOCK = "lock"
_OWN = (
    _LOCK,
    state.FILE,
    f".{state.FILE}.tmp",
    "pki",
    "kubeconfig",
    "kubeconfigs",
    "etcd",
    "agent",
    "nodes.yaml",
    "images.yaml",
    "audit-policy.yaml",
    "logs",
    components.PROMETHEUS,
    components.KWOK,
)
# The API server names a full audit log audit-TIMESTAMP.log and begins another.
_OWN_PATTERN = "audit*.log"
# sockaddr_un.sun_path, with its final zero.
_SOCKET_PATH_LIMIT = 107
_TAIL_BYTES = 16_384
# From the surest to the vaguest; what follows such a line is mostly a stack.
_SIGNS_OF_A_CAUSE = (
    "no space left",
    "address already in use",
    "panic:",
    '"error":',
    "err=",
    "fatal",
    "error",
)
# Of a long line, what stands shortly before its sign and after it.
_BEFORE_SIGN, _CAUSE_LIMIT = 80, 220


def check(layout: Layout) -> None:
    """Refuse a home that cannot work, or that holds files of somebody else."""
    if len(str(layout.agent_socket)) > _SOCKET_PATH_LIMIT:
        raise errors.HomeError(
            f"{layout.home} is too long for the path of a Unix socket: {layout.agent_socket} has"
            f" {len(str(layout.agent_socket))} characters, at most {_SOCKET_PATH_LIMIT} work.",
            next_step=f"Set {paths.HOME_VARIABLE} to a shorter path.",
        )
    if not layout.home.exists():
        return
    if not layout.home.is_dir():
        raise errors.HomeError(f"{layout.home} is not a folder.", next_step=_another())
    others = sorted({path.name for path in layout.home.iterdir()} - _present(layout))
    if others:
        raise errors.HomeError(
            f"{layout.home} holds files that are not of a local cluster ({others[0]}).",
            next_step=_another(),
        )


def prepare(layout: Layout) -> None:
    """Make the home, for its owner only."""
    layout.home.mkdir(parents=True, exist_ok=True)
    layout.home.chmod(0o700)
    for folder in (layout.pki, layout.etcd, layout.agent):
        folder.mkdir(mode=0o700, exist_ok=True)


def clear(layout: Layout) -> None:
    """Remove everything of ours from the home except the lock; leave what others put there."""
    for name in sorted(_present(layout) - {_LOCK}):
        path = layout.home / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def remove(layout: Layout) -> None:
    """Remove the home itself, its lock included, unless somebody else's files are in it."""
    layout.lock.unlink(missing_ok=True)
    if layout.home.is_dir() and not any(layout.home.iterdir()):
        layout.home.rmdir()


def end_pods(layout: Layout) -> None:
    """End the processes of pods that an agent left which did not end by itself."""
    records = layout.agent / "processes"
    if records.is_dir():
        ProcessRecords(records).end_leftovers()


def keep_logs(layout: Layout) -> pathlib.Path:
    """Copy the logs out of a home that is about to be removed; where they are then."""
    kept = paths.cache_directory() / "logs" / "local-failed"
    shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(layout.home / "logs", kept)
    return kept


def last_lines(log: pathlib.Path) -> list[str]:
    """The end of a log; nothing where there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return []
    return [line for line in text.splitlines() if line.strip()]


def cause(log: pathlib.Path) -> str:
    """The line at the end of a log that says most about why its program ended."""
    lines = last_lines(log)
    for sign in _SIGNS_OF_A_CAUSE:
        found = [line for line in lines if sign in line.lower()]
        if found:
            start = max(0, found[0].lower().index(sign) - _BEFORE_SIGN)
            return found[0][start : start + _CAUSE_LIMIT].strip()
    return errors.shortened((lines or ["it said nothing"])[-1])


def _present(layout: Layout) -> set[str]:
    names = {path.name for path in layout.home.glob(_OWN_PATTERN)}
    return names | {name for name in _OWN if (layout.home / name).exists()}


def _another() -> str:
    return f"Set {paths.HOME_VARIABLE} to a folder of its own."
