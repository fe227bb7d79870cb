"""Farthing as a user installs it, on a cluster whose pods really run.

The operator is a pod under its own ServiceAccount; services are answered by the emulated runtime
in a pool of its own, so that their number is not bounded by the pools that the manifests declare.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pathlib
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import yaml
from benchmarks.demo import load
from tests.cluster_fixture import ControlPlane, running_cluster, short_folder

from farthing_local import pools

REPOSITORY = pathlib.Path(__file__).parents[2]
ACCOUNT = "system:serviceaccount:farthing-system:farthing-operator"
SYSTEM = "farthing-system"
OPERATOR = "farthing-operator"
MODEL = "image:///models/brisk"
BULK = "bulk"
PRICE_PER_HOUR = "0.36"
_PATIENCE_S = 30.0
Document = dict[str, Any]
Found = TypeVar("Found")

BASE_MS, PER_ITEM_MS, LARGEST_BATCH = 40.0, 40.0, 32
# The same with batches of at most four: no more than 20 requests a second per replica.
_BATCHES = [{"size": 1, "milliseconds": "80"}, {"size": 4, "milliseconds": "200"}]


def until(condition: Callable[[], Found], within_s: float = _PATIENCE_S) -> Found:
    """What `condition` answers once that is something; fails when it stays nothing."""
    deadline = time.monotonic() + within_s
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {within_s:.0f} s"
        time.sleep(0.1)
    return found


def service(namespace: str, name: str, **spec: Any) -> Document:
    """An InferenceService of the emulated runtime in the pool of the tests."""
    given = {
        "model": {"uri": MODEL},
        "runtimeRef": {"name": "emulated"},
        "slo": {"latencyMilliseconds": 1000},
        "budget": {"amount": "24000.00", "period": "Day", "whenExceeded": "Cap"},
        "scaling": {"minReplicas": 1, "maxReplicas": 4},
        "placement": {"poolSelector": {"matchLabels": {"farthing.dev/hardware": BULK}}},
    }
    return {
        "apiVersion": "farthing.dev/v1alpha1",
        "kind": "InferenceService",
        "metadata": {"name": name, "namespace": namespace},
        "spec": given | spec,
    }


def profile(namespace: str, uri: str = MODEL) -> Document:
    return {
        "apiVersion": "farthing.dev/v1alpha1",
        "kind": "ModelProfile",
        "metadata": {"name": "brisk", "namespace": namespace},
        "spec": {
            "modelUri": uri,
            "provenance": "Declared",
            "entries": [
                {
                    "variant": "default",
                    "hardware": "cpu",
                    "maximumBatchSize": 4,
                    "batches": _BATCHES,
                    "startupSeconds": 1,
                }
            ],
        },
    }


def pool(name: str = BULK, **spec: Any) -> Document:
    """A pool of on-demand CPUs, so that the tests need nothing of the pools for people."""
    given = {
        "capacityType": "OnDemand",
        "slot": {"cpu": "1", "memory": "1Gi"},
        "nodeSelector": {"farthing.dev/pool": name},
        "price": {"perSlotHour": PRICE_PER_HOUR},
        "capacity": {"maximumSlots": 60},
        "startup": {"priorSeconds": 2, "patienceSeconds": 60},
    }
    return {
        "apiVersion": "farthing.dev/v1alpha1",
        "kind": "CapacityPool",
        "metadata": {"name": name, "labels": {"farthing.dev/hardware": name}},
        "spec": given | spec,
    }


def unmeasured_runtime(live: Live) -> Document:
    """A runtime as fast as its arguments say, which the operator does not read."""
    emulated = live.plane.get("inferenceruntime", "emulated")
    batches = [
        {"size": size, "milliseconds": str(BASE_MS + PER_ITEM_MS * size)}
        for size in (1, LARGEST_BATCH)
    ]
    speed = json.dumps({"maximumBatchSize": LARGEST_BATCH, "batches": batches})
    return {
        "apiVersion": emulated["apiVersion"],
        "kind": "InferenceRuntime",
        "metadata": {"name": "unmeasured"},
        "spec": emulated["spec"] | {"args": [*emulated["spec"]["args"], "--profile", speed]},
    }


def seconds_of_cpu(pid: int) -> float:
    """What a process has used of a core so far."""
    text = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(text[11]) + int(text[12])) / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Live:
    """The cluster with the operator in it."""

    plane: ControlPlane

    def service(self, namespace: str, name: str) -> Document:
        found: Document = self.plane.get("inferenceservice", name, "-n", namespace)
        return found

    def condition(self, namespace: str, name: str, aspect: str) -> Document:
        conditions = self.service(namespace, name).get("status", {}).get("conditions", [])
        return next((one for one in conditions if one["type"] == aspect), {})

    def items(self, kind: str, namespace: str, *selector: str) -> list[Document]:
        return list(self.plane.get(kind, "-n", namespace, *selector)["items"])

    def replicas(self, namespace: str, name: str) -> int:
        """Replicas that Deployments of this service ask for."""
        label = f"farthing.dev/service={name}"
        found = self.items("deployments", namespace, "-l", label)
        return sum(int(one["spec"]["replicas"]) for one in found)

    def when_ready(self, namespace: str, *names: str, within_s: float = 60) -> None:
        def ready() -> bool:
            found = {one["metadata"]["name"]: one for one in self.items("fis", namespace)}
            return all(_is_settled(found[name]) for name in names)

        until(ready, within_s)

    def url(self, namespace: str, name: str) -> str:
        front = self.plane.get("service", name, "-n", namespace)["spec"]
        return load.infer_url(front["clusterIP"], name)

    def operator_pid(self) -> int:
        """The process that stands for the operator's container."""
        (pod,) = [
            one for one in self.items("pods", SYSTEM) if "deletionTimestamp" not in one["metadata"]
        ]
        return self.pid_of(pod)

    def pid_of(self, pod: Document) -> int:
        """The process of a pod's only container, by the address that it was told to listen on."""
        wanted = f"POD_IP={pod['status']['podIP']}".encode()
        for record in (self.plane.home / "agent" / "processes").glob("*.json"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                environment = pathlib.Path(f"/proc/{record.stem}/environ").read_bytes()
                if wanted in environment.split(b"\0"):
                    return int(record.stem)
        raise AssertionError(f"no process of {pod['metadata']['name']}")

    def leader(self) -> str:
        lease = self.plane.get("lease", OPERATOR, "-n", SYSTEM)
        return str(lease["spec"].get("holderIdentity") or "")

    def kill_operator(self) -> str:
        """SIGKILL, and a new pod at once instead of after a back-off; who held the lease."""
        leader = self.leader()
        (pod,) = self.items("pods", SYSTEM)
        os.kill(self.pid_of(pod), signal.SIGKILL)
        name = pod["metadata"]["name"]
        self.plane.kubectl("delete", "pod", name, "-n", SYSTEM, "--grace-period=0", "--force")
        return leader

    def when_led_by_another(self, than: str) -> str:
        return until(lambda: (now := self.leader()) not in ("", than) and now, 60) or ""

    def writes(self) -> list[Document]:
        """What the operator has written so far, other than its Lease."""
        found = self.plane.writes(ACCOUNT)
        return [one for one in found if one["objectRef"]["resource"] != "leases"]


def _is_settled(found: Document) -> bool:
    status = found.get("status", {})
    aspects = {one["type"]: one["status"] for one in status.get("conditions", [])}
    return aspects.get("Ready") == "True" and aspects.get("Reconciling") == "False"


@contextlib.contextmanager
def installed(more_nodes: Sequence[Document] = (), more: Sequence[Document] = ()) -> Iterator[Live]:
    """A new cluster with the operator installed as a pod, leading, and the pool of the tests."""
    with short_folder() as folder:
        nodes = folder / "nodes.yaml"
        bulk = {
            "name": BULK,
            "capacityType": "OnDemand",
            "nodes": 1,
            "node": {"cpu": "64", "memory": "64Gi"},
        }
        known = yaml.safe_load(pools.DEFAULT_NODES.read_text())
        nodes.write_text(yaml.safe_dump([*known, bulk, *more_nodes]))
        with running_cluster(folder / "home", agent=True, nodes=nodes) as plane:
            plane.kubectl("apply", "-k", str(REPOSITORY / "crds"))
            plane.kubectl("wait", "--for=condition=established", "crd", "--all", "--timeout=30s")
            plane.kubectl("apply", "-k", str(REPOSITORY / "manifests" / "overlays" / "local"))
            plane.apply(pool(), *more)
            wait = ("--for=condition=Available", "--timeout=60s")
            plane.kubectl("wait", f"deployment/{OPERATOR}", "-n", SYSTEM, *wait)
            live = Live(plane)
            live.when_led_by_another("")
            yield live


@dataclass(slots=True)
class Traffic:
    """Requests that a thread sends; complete when the block of `traffic` has ended."""

    requests: list[load.Request] = field(default_factory=list)
    failure: BaseException | None = None

    def count(self, outcome: load.Outcome) -> int:
        return sum(1 for one in self.requests if one.outcome is outcome)

    @property
    def lost(self) -> list[str]:
        return [one.detail for one in self.requests if one.outcome is load.Outcome.LOST]


@contextlib.contextmanager
def traffic(url: str, arrivals_s: Sequence[float]) -> Iterator[Traffic]:
    """Open-loop requests while the block runs; leaving it waits for the last answer."""
    sent = Traffic()

    async def send() -> None:
        async with load.client() as session:
            await load.send(
                session,
                load.Endpoint(service="brisk", url=url),
                arrivals_s,
                began_s=asyncio.get_running_loop().time(),
                ended=sent.requests.append,
            )

    def run() -> None:
        try:
            asyncio.run(send())
        except Exception as failure:  # noqa: BLE001 - raised again where the block ends
            sent.failure = failure

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield sent
    finally:
        thread.join()
    if sent.failure is not None:
        raise sent.failure


def steady(rate_rps: float, seconds: float) -> list[float]:
    """Evenly spaced arrivals."""
    return [number / rate_rps for number in range(int(rate_rps * seconds))]


def burst(requests: int) -> list[float]:
    """All at once, but for the time that one client needs: a hundredth of a second each ten."""
    return [number / 1000 for number in range(requests)]
