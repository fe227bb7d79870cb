"""A node agent on the shared control plane, with pools and images of its own."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import yaml
from tests.cluster_fixture import ControlPlane

T = TypeVar("T")
_ROOT = pathlib.Path(__file__).parents[2]
_PROGRAM = pathlib.Path(__file__).with_name("agent_program.py")
NAMESPACE = "agent-tests"
IMAGE = "test/web:1"
POOLS = [
    {"name": "steady", "capacityType": "OnDemand", "nodes": 2, "node": {"cpu": "8"}},
    {"name": "fickle", "capacityType": "Spot", "nodes": 2, "node": {"cpu": "8"}},
]


def eventually(ask: Callable[[], T], *, within_s: float = 15.0) -> T:
    """What `ask` gives once it is neither empty nor false; its assertions may fail till then."""
    ends_at_s = time.monotonic() + within_s
    while True:
        failure: AssertionError | None = None
        try:
            answer = ask()
            if answer:
                return answer
        except AssertionError as error:
            failure = error
        if time.monotonic() > ends_at_s:
            raise AssertionError(f"not within {within_s} s") from failure
        time.sleep(0.05)


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that only waits to be taken note of by its parent does not."""
    try:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: pathlib.Path) -> None:
        super().__init__("agent", timeout=10)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(10)
        self.sock.connect(str(self._path))


@dataclass(slots=True, kw_only=True)
class Agent:
    """One agent and its files; may be killed and started again."""

    control_plane: ControlPlane
    folder: pathlib.Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def state(self) -> pathlib.Path:
        return self.folder / "state"

    def start(self) -> None:
        pki = self.control_plane.home / "pki"
        options = {
            "kubeconfig": self.control_plane.home / "kubeconfigs" / "node-agent.yaml",
            "nodes": self.folder / "nodes.yaml",
            "images": self.folder / "images.yaml",
            "state": self.state,
            "certificate": pki / "kubelet.crt",
            "key": pki / "kubelet.key",
            "client-ca": pki / "ca.crt",
        }
        log = (self.folder / "agent.log").open("ab")
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "farthing_local.agent",
                *(f"--{key}={value}" for key, value in options.items()),
            ],
            env={**os.environ, "PYTHONPATH": str(_ROOT / "local_cluster")},
            stderr=log,
        )
        log.close()
        eventually(self.is_serving)

    def is_serving(self) -> bool:
        try:
            return self.ask("GET", "/status")[0] == 200
        except OSError:
            return False

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        with contextlib.closing(_UnixConnection(self.state / "agent.sock")) as connection:
            connection.request(method, path, None if body is None else json.dumps(body))
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(timeout=15)

    def pod_processes(self) -> list[int]:
        return [int(file.stem) for file in (self.state / "processes").glob("*.json")]

    def set_images(self, *names: str) -> None:
        image = {"argv": [sys.executable, str(_PROGRAM)], "env": {"FROM_IMAGE": "yes"}}
        fresh = self.folder / "images.new"
        fresh.write_text(yaml.safe_dump(dict.fromkeys(names, image)))
        fresh.replace(self.folder / "images.yaml")

    def pods(self, app: str) -> list[Any]:
        return list(self.control_plane.get("pods", "-n", NAMESPACE, "-l", f"app={app}")["items"])

    def status(self, pod: str) -> Any:
        return self.control_plane.get("pod", "-n", NAMESPACE, pod)["status"]

    def kubectl(self, *arguments: str) -> str:
        return self.control_plane.kubectl("-n", NAMESPACE, *arguments).stdout


def pod(name: str, container: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    """A pod with one container of the test program."""
    main = {
        "name": "web",
        "image": IMAGE,
        "env": [
            {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        ],
        "ports": [{"name": "http", "containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": "http"}, "periodSeconds": 1},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": {"app": name}},
        "spec": {
            "nodeSelector": {"farthing.dev/pool": "steady"},
            "terminationGracePeriodSeconds": 5,
            **spec,
            "containers": [main | (container or {})],
        },
    }


def deployment(name: str, replicas: int, **spec: Any) -> dict[str, Any]:
    one = pod(name, **spec)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": one["spec"]},
        },
    }


def service(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"selector": {"app": name}, "ports": [{"port": 8000, "targetPort": "http"}]},
    }


def request(address: str, port: int, path: str, method: str = "GET") -> str:
    """One request on a connection of its own; the body of the answer."""
    with contextlib.closing(http.client.HTTPConnection(address, port, timeout=5)) as connection:
        connection.request(method, path)
        return connection.getresponse().read().decode()


@contextlib.contextmanager
def running_agent(control_plane: ControlPlane, folder: pathlib.Path) -> Iterator[Agent]:
    agent = Agent(control_plane=control_plane, folder=folder)
    (folder / "nodes.yaml").write_text(yaml.safe_dump(POOLS))
    agent.set_images(IMAGE)
    control_plane.kubectl("create", "namespace", NAMESPACE)
    try:
        agent.start()
        yield agent
        control_plane.kubectl("delete", "namespace", NAMESPACE, "--timeout=60s")
        assert agent.pod_processes() == []
        assert agent.stop() == 0
    finally:
        if agent.process is not None and agent.process.poll() is None:
            agent.stop(signal.SIGTERM)
        every_pool = "farthing.dev/pool in (steady, fickle)"
        control_plane.kubectl("delete", "node", "-l", every_pool, check=False)
