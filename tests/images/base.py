"""The image that the Dockerfiles start from, made of Debian packages where no registry is asked.

It gets the name of the public image, so that the Dockerfiles are built as they are. What differs is
where Python comes from (Debian's 3.11 instead of one compiled for the image), not its version.
"""

from __future__ import annotations

import hashlib
import os
import pathlib
import shutil
import subprocess

from tests.images import commands
from tests.images.errors import ImageError
from tests.images.storage import Storage

REFERENCE = "docker.io/library/python:3.11-slim-bookworm"
PATH = "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
MIRROR_VARIABLE = "FARTHING_DEBIAN_MIRROR"
_SUITE = "bookworm"
_PACKAGES = ("python3", "python3-venv", "ca-certificates")
# As in the public slim image: nobody reads manuals in a container.
_EMPTIED = (
    "var/lib/apt/lists",
    "var/cache",
    "var/log",
    "usr/share/doc",
    "usr/share/man",
    "usr/share/info",
    "usr/share/locale",
)
# debootstrap copies these from the machine.
_OF_THE_MACHINE = ("etc/resolv.conf", "etc/hostname", "etc/hosts")
_RECIPE_VERSION = 1


def provide(storage: Storage) -> None:
    """Make the base image unless the storage has it from this recipe."""
    stamp = storage.folder / "base.sha256"
    wanted = hashlib.sha256(
        repr((_RECIPE_VERSION, _SUITE, _PACKAGES, _EMPTIED, PATH)).encode()
    ).hexdigest()
    # Asked first: a storage that cannot be used is better known before a minute of work.
    is_there = storage.exists(REFERENCE)
    if is_there and stamp.is_file() and stamp.read_text() == wanted:
        return
    stamp.unlink(missing_ok=True)
    root = storage.folder / "base.partial"
    shutil.rmtree(root, ignore_errors=True)
    try:
        _bootstrap(root, os.environ.get(MIRROR_VARIABLE))
        _finish(root)
        archive = subprocess.Popen(["tar", "-C", str(root), "-c", "."], stdout=subprocess.PIPE)
        storage.import_image(archive, REFERENCE, f"ENV PATH={PATH}")
    finally:
        shutil.rmtree(root, ignore_errors=True)
    stamp.write_text(wanted)


def _bootstrap(root: pathlib.Path, mirror: str | None) -> None:
    command = ["debootstrap", "--variant=minbase", f"--include={','.join(_PACKAGES)}"]

    def failed(code: int, tail: list[str]) -> ImageError:
        return ImageError(
            f"debootstrap from {mirror or 'its default mirror'} failed (exit {code}): {' / '.join(tail[-2:])}.",
            next_step=f"Check the network, or name another mirror in {MIRROR_VARIABLE}.",
        )

    commands.run_shown(
        "Base image from Debian packages (about a minute, once)",
        [*command, _SUITE, str(root), *([mirror] if mirror else [])],
        failed,
    )


def _finish(root: pathlib.Path) -> None:
    """`python` and `pip` where the public image has them, and nothing that a container never reads."""
    # An environment in /usr/local: Debian's own refuses pip, and both are found at the same path.
    made = subprocess.run(
        ["chroot", str(root), "python3", "-m", "venv", "/usr/local"],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        raise ImageError(
            f"Python does not start in the base image: {commands.last_line(made.stderr)}.",
            next_step=f"Name another mirror in {MIRROR_VARIABLE}, then try again.",
        )
    for name in _EMPTIED:
        for path in (root / name).iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
    for name in _OF_THE_MACHINE:
        (root / name).unlink(missing_ok=True)
    # Where this machine gets its packages is nobody else's business.
    (root / "etc/apt/sources.list").write_text("")
    # Builds mount files over these; without them each image would get an empty one of its own.
    for name in ("etc/pip.conf", *_OF_THE_MACHINE):
        (root / name).touch()
