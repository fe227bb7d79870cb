"""A lock between processes that the kernel releases when its holder dies."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pathlib
import time
from collections.abc import Callable, Iterator

_POLL_S = 0.1


@contextlib.contextmanager
def locked(path: pathlib.Path, *, on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the lock file; `on_wait` is called once when somebody else holds it.

    The file may be removed by its holder: whoever then gets the lock of the removed file notices
    that the path no longer leads to it, and starts over.
    """
    waited = False
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if _try_lock(descriptor) and _leads_to(path, descriptor):
                yield
                return
        finally:
            os.close(descriptor)
        if not waited:
            on_wait()
            waited = True
        time.sleep(_POLL_S)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _leads_to(path: pathlib.Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
