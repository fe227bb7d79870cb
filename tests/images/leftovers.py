"""What container tools leave for a moment, or for good: processes that clean up, mounts, a file of their own."""

from __future__ import annotations

import pathlib
import shutil
import subprocess
import time

# Where buildah, as root, notes which layer has which digest, whatever its storage is.
_BLOB_CACHE = pathlib.Path("/var/lib/containers/cache")
_POLL_S = 0.05


def await_processes(word: str, *, limit_s: float = 10) -> None:
    """Wait until no process has `word` in its command line: each container's end is cleaned up by one."""
    ends_s = time.monotonic() + limit_s
    while _has_process(word.encode()) and time.monotonic() < ends_s:
        time.sleep(_POLL_S)


def _has_process(word: bytes) -> bool:
    for file in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if word in file.read_bytes():
                return True
        except (FileNotFoundError, ProcessLookupError):
            continue
    return False


def unmount(folder: pathlib.Path) -> None:
    """Unmount everything in `folder`, the deepest first: a storage is mounted on itself while it is used."""
    lines = pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
    points = [line.split()[4] for line in lines]
    for point in sorted((one for one in points if one.startswith(f"{folder}/")), reverse=True):
        subprocess.run(["umount", "--lazy", point], capture_output=True, check=False)


def has_blob_cache() -> bool:
    """Whether the file outside of every storage is there; then it is somebody else's, and stays."""
    return _BLOB_CACHE.exists()


def remove_blob_cache() -> None:
    """Remove it."""
    shutil.rmtree(_BLOB_CACHE, ignore_errors=True)
    if _BLOB_CACHE.parent.is_dir() and not any(_BLOB_CACHE.parent.iterdir()):
        _BLOB_CACHE.parent.rmdir()
