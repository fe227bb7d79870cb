"""Running `go` in a module of ours: its output becomes progress, a log, and one clear failure."""

from __future__ import annotations

import collections
import os
import pathlib
import select
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TextIO

from farthing_local import go_output, progress
from farthing_local.recipes import Binary, Recipe

_KEPT_LINES = 400
# How often a silent `go`, such as one that links, lets the progress be shown.
_SILENCE_S = 0.25
# What would change the result, or belongs to another toolchain.
_NOT_INHERITED = ("GOFLAGS", "GOOS", "GOARCH", "GOROOT", "GOEXPERIMENT", "GOBIN", "GOAMD64")


def flags(recipe: Recipe) -> list[str]:
    """The options that make the binaries small and the same on every machine."""
    tags = ["-tags", recipe.tags] if recipe.tags else []
    return ["-buildvcs=false", "-trimpath", *tags, "-ldflags", recipe.linker_flags]


def environment(cache: pathlib.Path) -> dict[str, str]:
    """Go's environment: all that it writes stays in the cache, unless the caller chose a place."""
    inherited = {name: value for name, value in os.environ.items() if name not in _NOT_INHERITED}
    scratch = scratch_folder(cache)
    user_settings = pathlib.Path(
        os.environ.get("XDG_CONFIG_HOME") or pathlib.Path.home() / ".config"
    )
    return {
        "GOCACHE": str(scratch / "build"),
        "GOMODCACHE": str(scratch / "modules"),
        "GOPATH": str(scratch / "path"),
        "GOENV": str(user_settings / "go" / "env"),
        **inherited,
        "CGO_ENABLED": "0",
        # Writable modules, so that the cache can be removed as any other folder.
        "GOFLAGS": "-modcacherw -mod=readonly",
        "GOTMPDIR": str(scratch),
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
        # Go counts its own use in a file under this folder.
        "XDG_CONFIG_HOME": str(scratch / "config"),
    }


def scratch_folder(cache: pathlib.Path) -> pathlib.Path:
    """Where downloads and intermediate results are until the binaries are whole."""
    return cache / "go" / "scratch"


@dataclass(frozen=True, slots=True, kw_only=True)
class GoCommand:
    """`go` in one module."""

    go: pathlib.Path
    title: str
    folder: pathlib.Path
    env: Mapping[str, str]
    log: pathlib.Path
    cache: pathlib.Path

    def packages(
        self,
        options: list[str],
        targets: Sequence[Binary],
        shown: progress.Progress,
        written: TextIO,
    ) -> int:
        """Download what is needed; how many packages are still to be compiled."""
        downloads, stale = 0, 0
        wanted = [one.package for one in targets]
        command = ["list", "-deps", "-f", "{{if .Stale}}+{{.ImportPath}}{{end}}", *options, *wanted]
        for line in self._run(command, written):
            downloads += go_output.is_download(line)
            stale += line.startswith("+")
            shown.show(f"downloading modules ({downloads} so far)")
        return stale

    def compile(
        self,
        options: list[str],
        binary: Binary,
        into: pathlib.Path,
        packages: int,
        shown: progress.Progress,
        written: TextIO,
    ) -> None:
        done = 0
        target = str(into / binary.name)
        for line in self._run(["build", "-v", *options, "-o", target, binary.package], written):
            done += go_output.is_package(line)
            # A second binary of a module finds most packages compiled.
            step = "linking" if done >= packages else f"{done} of {packages} packages"
            shown.show(f"{binary.name}: {step}")
        for link in binary.links:
            (into / link).symlink_to(binary.name)

    def _run(self, arguments: list[str], written: TextIO) -> Iterator[str]:
        command = [*_niced(), str(self.go), *arguments]
        last: collections.deque[str] = collections.deque(maxlen=_KEPT_LINES)
        process = subprocess.Popen(
            command,
            cwd=self.folder,
            env=dict(self.env),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
        )
        with process:
            try:
                for line in _lines(process):
                    if line:
                        last.append(line)
                        written.write(f"{line}\n")
                    yield line
            except BaseException:
                # Ctrl-C, or a full disk: the compiler must not go on by itself.
                process.send_signal(signal.SIGINT)
                raise
        if process.returncode != 0:
            raise go_output.failure(
                self.title,
                tuple(last),
                code=process.returncode,
                log=str(self.log),
                cache=str(self.cache),
            )


def _niced() -> list[str]:
    """Compiling takes every core for minutes; whatever else runs goes first."""
    nice = shutil.which("nice")
    return [nice, "-n", "10"] if nice else []


def _lines(process: subprocess.Popen[bytes]) -> Iterator[str]:
    """Every line of the output, and an empty one now and then while there is none."""
    if process.stdout is None:
        raise ValueError("the process was started without a pipe for its output")
    descriptor, rest = process.stdout.fileno(), b""
    while True:
        readable, _, _ = select.select([descriptor], [], [], _SILENCE_S)
        if not readable:
            yield ""
            continue
        chunk = os.read(descriptor, 65536)
        if not chunk:
            break
        *lines, rest = (rest + chunk).split(b"\n")
        yield from (line.decode(errors="replace") for line in lines)
    if rest:
        yield rest.decode(errors="replace")
