"""The operator as a process, with the rights of its own ServiceAccount and no others."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import yaml
from tests.cluster_fixture import ControlPlane

REPOSITORY = pathlib.Path(__file__).parents[2]
ACCOUNT = "system:serviceaccount:farthing-system:farthing-operator"
_PATIENCE_S = 30.0


def until(condition: Callable[[], Any], patience_s: float = _PATIENCE_S) -> Any:
    """What `condition` answers once that is something; fails when it stays nothing."""
    deadline = time.monotonic() + patience_s
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.05)
    return found


def install(control_plane: ControlPlane) -> None:
    """What a platform team does: the CRDs, then everything else."""
    control_plane.kubectl("apply", "-k", str(REPOSITORY / "crds"))
    control_plane.kubectl("wait", "--for=condition=established", "crd", "--all", "--timeout=30s")
    control_plane.kubectl("apply", "-k", str(REPOSITORY / "manifests" / "overlays" / "local"))


def kubeconfig(control_plane: ControlPlane, folder: pathlib.Path) -> pathlib.Path:
    """A kubeconfig that holds the ServiceAccount's token."""
    admin = yaml.safe_load(control_plane.kubeconfig.read_text())
    token = control_plane.kubectl(
        "create", "token", "farthing-operator", "-n", "farthing-system"
    ).stdout
    name = admin["users"][0]["name"]
    document = admin | {"users": [{"name": name, "user": {"token": token.strip()}}]}
    path = folder / "operator-kubeconfig"
    path.write_text(yaml.safe_dump(document))
    return path


@dataclass(frozen=True, slots=True)
class Operator:
    process: subprocess.Popen[bytes]
    address: str
    log: pathlib.Path

    def status(self, path: str) -> int:
        """The HTTP status of a probe; 0 where nobody answers."""
        try:
            with urllib.request.urlopen(f"http://{self.address}{path}", timeout=5) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def page(self) -> str:
        with urllib.request.urlopen(f"http://{self.address}/metrics", timeout=5) as answer:
            return str(answer.read().decode())

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=20)

    def lines(self) -> list[dict[str, Any]]:
        return [
            json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")
        ]


@contextlib.contextmanager
def operator(control_plane: ControlPlane, folder: pathlib.Path) -> Iterator[Operator]:
    """The operator, ready; killed at the end if it still runs."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(REPOSITORY / "operator"),
        "KUBECONFIG": str(kubeconfig(control_plane, folder)),
    }
    log = folder / f"operator-{port}.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "farthing.kube.main",
                "--host",
                "127.0.0.1",
                "--port",
                str(port),
            ],
            env=environment,
            stderr=stream,
        )
        running = Operator(process, f"127.0.0.1:{port}", log)
        try:
            until(lambda: running.status("/readyz") == 200 or process.poll() is not None)
            assert process.poll() is None, log.read_text()
            yield running
        finally:
            process.kill()
            process.wait()
