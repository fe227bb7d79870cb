"""A real control plane for tests, gone for certain when they are.

A folder of tests gets it with `from tests.cluster_fixture import control_plane  # noqa: F401` in
its conftest. It is one per session, with an audit log of writes and without a node agent, so nodes
are objects that tests make, and nothing runs on them. `running_cluster` gives other kinds.
"""

from __future__ import annotations

import contextlib
import json
import pathlib
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest

from farthing_local import cluster, guard

Seen = TypeVar("Seen")


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlPlane:
    """A running cluster: its files, `kubectl`, and what was written to it."""

    home: pathlib.Path
    kubeconfig: pathlib.Path
    server: str
    program: pathlib.Path

    def kubectl(
        self, *arguments: str, stdin: str | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl as admin; a failure raises with what it said, unless `check` is off."""
        result = subprocess.run(
            [str(self.program), f"--kubeconfig={self.kubeconfig}", *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if check and result.returncode != 0:
            raise AssertionError(f"kubectl {' '.join(arguments)}: {result.stderr}")
        return result

    def get(self, *arguments: str) -> Any:
        """What `kubectl get ARGUMENTS -o json` answers."""
        return json.loads(self.kubectl("get", *arguments, "-o", "json").stdout)

    def apply(self, *documents: Any) -> str:
        """Apply objects given as mappings, server-side; what kubectl says."""
        bundle = {"apiVersion": "v1", "kind": "List", "items": list(documents)}
        return self.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(bundle)).stdout

    def writes(self, user: str | None = None) -> list[dict[str, Any]]:
        """Write requests that were answered so far, by everyone or by one user, oldest first."""
        entries = []
        for line in (self.home / "audit.log").read_text().splitlines():
            entry = json.loads(line)
            if user is None or entry["user"]["username"] == user:
                entries.append(entry)
        return entries


@contextlib.contextmanager
def running_cluster(
    home: pathlib.Path, *, agent: bool = False, **more: Any
) -> Iterator[ControlPlane]:
    """A cluster of its own in this home; down when the block ends or the process is killed."""
    with guard.Guard(home):
        running = cluster.up(cluster.Wanted(home=home, agent=agent, audit=True, **more))
        yield ControlPlane(
            home=home,
            kubeconfig=running.kubeconfig,
            server=running.server,
            program=running.kubectl,
        )


@contextlib.contextmanager
def short_folder() -> Iterator[pathlib.Path]:
    """A temporary folder whose path leaves room for a Unix socket's 107 characters."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="farthing-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def eventually(
    look: Callable[[], Seen], is_good: Callable[[Seen], bool], *, limit_s: float = 30
) -> Seen:
    """Look until what is seen is good; what was seen last when the time is over."""
    deadline = time.monotonic() + limit_s
    while not is_good(seen := look()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return seen


@pytest.fixture(scope="session")
def control_plane() -> Iterator[ControlPlane]:
    """etcd, API server, controller manager and scheduler, shared by all tests of a session."""
    with short_folder() as folder, running_cluster(folder / "home") as running:
        yield running
