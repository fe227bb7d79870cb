"""Images and containers in a folder of our own: the machine's own storage is not touched."""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.images import commands, leftovers
from tests.images.errors import ImageError

from farthing_local import paths, progress

# Debian 12's crun refuses machines with hybrid cgroups; runc does not.
_RUNTIME = ("--runtime", "runc", "--cgroup-manager=cgroupfs", "--events-backend=none")
_START_OVER = "Run python -m tests.images --remove, then try again."
_ROOM_BYTES = 2 * 1024**3


@dataclass(frozen=True, slots=True)
class Storage:
    """podman and buildah on `folder`."""

    folder: pathlib.Path

    @property
    def temporary(self) -> pathlib.Path:
        """For what is large and in the making."""
        return self.folder / "temporary"

    @property
    def runtime_folder(self) -> pathlib.Path:
        """What is true while containers run; not in the cache, since podman allows it 50 characters."""
        name = hashlib.sha256(str(self.folder).encode()).hexdigest()[:8]
        return pathlib.Path("/run", f"farthing-images-{name}")

    @property
    def _places(self) -> list[str]:
        root = ["--root", str(self.folder / "storage"), "--runroot", str(self.runtime_folder)]
        return [*root, "--storage-driver", "overlay"]

    def podman(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run podman; a failure is an error with what it said, unless `check` is off."""
        result = subprocess.run(
            [*self._podman(), *arguments],
            capture_output=True,
            text=True,
            check=False,
            env=self._environment(),
        )
        if check and result.returncode:
            said = commands.last_line(result.stderr)
            raise ImageError(
                f"podman {arguments[0]} failed: {said}.",
                next_step=_START_OVER,
            )
        return result

    def _podman(self) -> list[str]:
        temporary = ["--tmpdir", str(self.runtime_folder / "libpod")]
        return ["podman", *self._places, *temporary, *_RUNTIME]

    def _environment(self) -> dict[str, str]:
        # Layers are written whole before they are stored; a small /var/tmp would not hold them.
        return {**os.environ, "TMPDIR": str(self.temporary)}

    def build(self, title: str, arguments: Sequence[str], context: pathlib.Path) -> None:
        """`buildah bud` without privileges to nest containers, and with its layers kept for the next time."""
        command = ["buildah", *self._places, "bud", "--layers", "--isolation=chroot"]
        command += ["--network=host", *arguments, str(context)]

        def failed(code: int, tail: list[str]) -> ImageError:
            progress.say("\n".join(tail))
            return ImageError(f"{title} failed (exit {code}).", next_step=self._advice())

        commands.run_shown(title, command, failed, self._environment())

    def _advice(self) -> str:
        free = shutil.disk_usage(self.folder).free
        if free < _ROOM_BYTES:
            return (
                f"Only {free // 1024**2} MiB are free in {self.folder}: make room, then try again."
            )
        return "The lines above say why: mend the Dockerfile or what it copies."

    def import_image(self, archive: subprocess.Popen[bytes], reference: str, *changes: str) -> None:
        """An image from a tar stream."""
        flags = [flag for change in changes for flag in ("--change", change)]
        result = subprocess.run(
            [*self._podman(), "import", *flags, "-", reference],
            stdin=archive.stdout,
            capture_output=True,
            text=True,
            check=False,
            env=self._environment(),
        )
        # As long as anybody could read on, tar would wait for that.
        if archive.stdout is not None:
            archive.stdout.close()
        if archive.wait() or result.returncode:
            said = commands.last_line(result.stderr)
            raise ImageError(f"{reference} could not be imported: {said}.", next_step=_START_OVER)

    def inspect(self, reference: str) -> Any:
        """What the image's manifest, configuration and storage say."""
        return json.loads(self.podman("image", "inspect", reference).stdout)[0]

    def exists(self, reference: str) -> bool:
        answer = self.podman("image", "exists", reference, check=False)
        if answer.returncode > 1:
            raise ImageError(
                f"The storage of images cannot be used: {commands.last_line(answer.stderr)}.",
                next_step=_START_OVER,
            )
        return answer.returncode == 0

    def layers(self, reference: str) -> list[pathlib.Path]:
        """The folders of an image's layers, the lowest first."""
        places = self.inspect(reference)["GraphDriver"]["Data"]
        lower = places.get("LowerDir", "")
        upper_first = [places["UpperDir"], *(lower.split(":") if lower else [])]
        return [pathlib.Path(place) for place in reversed(upper_first)]

    def prepare(self) -> None:
        """Make its folders, and clear what a run left that was killed."""
        if not re.fullmatch(r"[A-Za-z0-9/._+@~-]+", str(self.folder)):
            raise ImageError(
                f"{self.folder} is no place for images: debootstrap and mounts take only letters,"
                " digits and / . _ + @ ~ - in a path.",
                next_step=f"Set {paths.CACHE_VARIABLE} to another folder.",
            )
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.clear()
        self.runtime_folder.mkdir(mode=0o700)
        self.temporary.mkdir()

    def clear(self) -> None:
        """End and remove every container, and what is known only while the machine is up; images stay."""
        if self.runtime_folder.is_dir():
            self.temporary.mkdir(exist_ok=True)
            self.podman("rm", "--all", "--force", "--time", "0", check=False)
            # What a build that was interrupted works on is no container of podman's.
            subprocess.run(
                ["buildah", *self._places, "rm", "--all"], capture_output=True, check=False
            )
            self.podman("image", "prune", "--force", check=False)
            leftovers.await_processes(str(self.runtime_folder))
        leftovers.unmount(self.runtime_folder)
        leftovers.unmount(self.folder)
        shutil.rmtree(self.runtime_folder, ignore_errors=True)
        shutil.rmtree(self.temporary, ignore_errors=True)

    def remove(self) -> None:
        """Remove the images as well."""
        self.clear()
        shutil.rmtree(self.folder, ignore_errors=True)
