"""Ended in the middle, the demo leaves nothing behind: no process, no file outside the cache."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
from tests.cluster_fixture import eventually, short_folder

from farthing_local import build, paths, recipes

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture
def cache() -> Iterator[pathlib.Path]:
    """An empty cache, except for what takes minutes to build."""
    build.build([recipes.CONTROL_PLANE])
    with short_folder() as folder:
        (folder / "bin").symlink_to(paths.cache_directory() / "bin")
        yield folder


def processes_of(folder: pathlib.Path) -> list[str]:
    """The command lines that name this folder."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if str(folder) in command:
            found.append(command)
    return found


@pytest.mark.cluster
@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)]
)
def test_ended_in_the_middle_nothing_of_it_runs_on(
    cache: pathlib.Path, number: signal.Signals, code: int
) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.demo"],
        env={**os.environ, "FARTHING_CACHE": str(cache)},
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as demo:
        assert demo.stderr is not None
        said = [next(line for line in demo.stderr if line.startswith("Services"))]
        assert any("kube-apiserver" in one for one in processes_of(cache))

        demo.send_signal(number)

        # After SIGKILL the guard ends the cluster, and closes its end of stderr when it has.
        said += demo.stderr.readlines()
        assert demo.wait(60) == code
    assert eventually(lambda: processes_of(cache), lambda found: not found) == []
    assert not (cache / "demo").exists()
    if number is signal.SIGINT:
        assert said[-1] == ("Interrupted: everything was taken down. Run the same command again.\n")
