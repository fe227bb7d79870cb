"""`python -m tests.images`: builds the images and runs them as real containers.

    python -m tests.images                  # operator, emulated, server
    python -m tests.images emulated         # some of them
    python -m tests.images --remove         # remove what earlier runs keep in the cache

For each image: built from its Dockerfile; nothing of this machine in its layers and configuration; run
as user 65532 with a read-only root and without capabilities; does its work; ends on SIGTERM with 0. What
is built stays in the cache, so that a second run is quick; containers and control plane are removed.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import pathlib
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import certifi
from tests.images import base, layers, leftovers, machine, operator_image, serving_images
from tests.images.errors import ImageError
from tests.images.storage import Storage

from farthing_local import errors as local_errors
from farthing_local import locks, paths, progress

_ROOT = pathlib.Path(__file__).resolve().parents[2]
_BASE_BUNDLE = "etc/ssl/certs/ca-certificates.crt"
_VARIABLES = {"PATH": base.PATH, "PYTHONPATH": "/app", "PYTHONDONTWRITEBYTECODE": "1"}
_ALLOWED_VARIABLES = {**_VARIABLES, "PYTHONUNBUFFERED": "1"}
_MIB = 1024**2


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """An image, and what it must do."""

    reference: str
    dockerfile: str
    check: Callable[[Storage, str], dict[str, str]]
    largest_mib: int | None = None
    free_mib: int = 1024


SUBJECTS = {
    "operator": Subject(
        reference="localhost/farthing/operator:0.1.0",
        dockerfile="operator/Dockerfile",
        check=operator_image.check_operator,
        largest_mib=400,
    ),
    "emulated": Subject(
        reference="localhost/farthing/emulated:0.1.0",
        dockerfile="inference_image/Dockerfile.emulated",
        check=serving_images.check_emulated,
    ),
    "server": Subject(
        reference="localhost/farthing/server:0.1.0",
        dockerfile="inference_image/Dockerfile.cpu",
        check=serving_images.check_server,
        # torch with its CUDA libraries, downloaded, installed and stored.
        free_mib=14 * 1024,
    ),
}


def main(arguments: Sequence[str]) -> int:
    chosen = _parse(arguments)
    # As Ctrl-C: containers would outlive a process that just ends.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    folder = paths.cache_directory() / "images"
    try:
        with locks.locked(paths.cache_directory() / "images.lock", on_wait=_waiting):
            if chosen.remove:
                Storage(folder).remove()
                return 0
            machine.prepare()
            _test(Storage(folder), chosen.names or tuple(SUBJECTS))
    except (ImageError, local_errors.LocalClusterError) as error:
        progress.say(f"Error: {error}")
        return 1
    except OSError as error:
        progress.say(f"Error: {error}. Mend that (disk, rights), then run the same command again.")
        return 1
    except KeyboardInterrupt:
        progress.say("Interrupted: nothing is left running. Run the same command again.")
        return 130
    return 0


def _test(images: Storage, names: Sequence[str]) -> None:
    with _clean(images):
        base.provide(images)
        for name in names:
            figures = _test_one(images, SUBJECTS[name])
            summary = ", ".join(f"{title} {figure}" for title, figure in figures.items())
            progress.say(f"{name}: {summary}")


@contextlib.contextmanager
def _clean(images: Storage) -> Iterator[None]:
    """Nothing of an earlier run that was killed before, nothing of this one after."""
    had_cache = leftovers.has_blob_cache()
    try:
        images.prepare()
        yield
    finally:
        images.clear()
        if not had_cache:
            leftovers.remove_blob_cache()


def _test_one(images: Storage, subject: Subject) -> dict[str, str]:
    configuration = machine.read_configuration(os.environ)
    free = shutil.disk_usage(images.folder).free // _MIB
    if not images.exists(subject.reference) and free < subject.free_mib:
        raise ImageError(
            f"{subject.reference} needs {subject.free_mib} MiB in {images.folder}, {free} are free.",
            next_step=f"Make room, or set {paths.CACHE_VARIABLE} to another folder.",
        )
    _build(images, subject, configuration)
    _require_clean(images, subject.reference, configuration)
    size_mib = images.inspect(subject.reference)["Size"] / _MIB
    if subject.largest_mib is not None and size_mib > subject.largest_mib:
        raise ImageError(
            f"{subject.reference} has {size_mib:.0f} MiB, allowed are {subject.largest_mib}.",
            next_step=f"Leave out of {subject.dockerfile} what is not needed to run it.",
        )
    with progress.Progress(f"Running {subject.reference}"):
        figures = subject.check(images, subject.reference)
    return {"size": f"{size_mib:.0f} MiB", **figures}


def _build(images: Storage, subject: Subject, configuration: machine.Configuration) -> None:
    with tempfile.TemporaryDirectory(dir=images.temporary) as folder:
        arguments = [
            *configuration.mounts(pathlib.Path(folder)),
            *("--file", str(_ROOT / subject.dockerfile), "--tag", subject.reference),
        ]
        images.build(f"Building {subject.reference}", arguments, _ROOT)


def _require_clean(images: Storage, reference: str, configuration: machine.Configuration) -> None:
    """Nothing of this machine's configuration in any layer or in what describes the image."""
    folders = images.layers(reference)
    public = [pathlib.Path(certifi.where()), folders[0] / _BASE_BUNDLE]
    certificates = configuration.certificates(file.read_text() for file in public)
    looked_for = layers.marks(
        configuration.hosts(machine.public_index()), certificates, configuration.settings()
    )
    started_s = time.monotonic()
    found = layers.findings(folders, looked_for)
    found += layers.configuration_findings(
        images.inspect(reference), _ALLOWED_VARIABLES, looked_for
    )
    if found:
        raise ImageError(
            f"{reference} carries what it must not: {'; '.join(found[:5])}.",
            next_step="Mend its Dockerfile.",
        )
    took = progress.duration(time.monotonic() - started_s)
    progress.say(
        f"Nothing of this machine in {len(folders)} layers ({len(looked_for)} marks, {took})"
    )


def _waiting() -> None:
    progress.say("Another run tests the images: waiting for it.")


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.images",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="IMAGE", help=f"of {', '.join(SUBJECTS)}")
    parser.add_argument(
        "--remove", action="store_true", help="remove the cached images, test nothing"
    )
    chosen = parser.parse_args(arguments)
    if unknown := [name for name in chosen.names if name not in SUBJECTS]:
        parser.error(f'IMAGE: "{unknown[0]}" is not allowed; one of {", ".join(SUBJECTS)}')
    return chosen


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
