"""The operator on a real API server, with the rights that the manifests give it."""

from __future__ import annotations

import json
import pathlib
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.cluster_fixture import ControlPlane, running_cluster, short_folder
from tests.kube import processes
from tests.kube.processes import ACCOUNT, Operator, until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]
Document = dict[str, Any]
NODES = ("l4-reserved-0", "l4-reserved-1", "l4-spot-0", "l4-spot-1")


@pytest.fixture(scope="module")
def installed(control_plane: ControlPlane) -> Iterator[ControlPlane]:
    processes.install(control_plane)
    add_nodes(control_plane)
    stop = threading.Event()
    heart = threading.Thread(target=beat, args=(control_plane, stop))
    heart.start()
    yield control_plane
    stop.set()
    heart.join()


@pytest.fixture(scope="module")
def operator(
    installed: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Operator]:
    with processes.operator(installed, tmp_path_factory.mktemp("operator")) as running:
        yield running


@pytest.fixture
def own_control_plane() -> Iterator[ControlPlane]:
    """One for a test that leaves it without an operator."""
    with short_folder() as folder, running_cluster(folder / "home") as running:
        yield running


@pytest.fixture
def shop(installed: ControlPlane, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace of the test's own that enforces the restricted standard."""
    name = f"shop-{abs(hash(request.node.name)) % 100_000}"
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    installed.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
    )
    yield name
    installed.kubectl("delete", "inferenceservice", "--all", "-n", name, "--timeout=30s")
    # No kubelet ends these pods.
    installed.kubectl(
        "delete", "deployments,pods", "--all", "-n", name, "--force", "--grace-period=0"
    )


def service(namespace: str, name: str = "sentiment", **spec: Any) -> Document:
    given = {
        "model": {"uri": "image:///models/sentiment"},
        "runtimeRef": {"name": "emulated"},
        "slo": {"latencyMilliseconds": 300},
        "budget": {"amount": "12.00", "period": "Day"},
        "placement": {"poolSelector": {"matchLabels": {"farthing.dev/hardware": "l4"}}},
    }
    return {
        "apiVersion": "farthing.dev/v1alpha1",
        "kind": "InferenceService",
        "metadata": {"name": name, "namespace": namespace},
        "spec": given | spec,
    }


def node(name: str, pool: str) -> Document:
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"farthing.dev/pool": pool}},
    }


def add_nodes(cluster: ControlPlane) -> None:
    """Nodes of every pool, with what a kubelet would say of them; nothing runs there."""
    size = {"cpu": "900", "memory": "9000Gi", "nvidia.com/gpu": "90", "pods": "90"}
    conditions = [{"type": "Ready", "status": "True", "reason": "Test", "message": ""}]
    status = {"status": {"capacity": size, "allocatable": size, "conditions": conditions}}
    cluster.apply(*(node(name, name[:-2]) for name in NODES))
    patch = json.dumps(status)
    for name in NODES:
        cluster.kubectl("patch", "node", name, "--subresource=status", "--type=merge", "-p", patch)


def beat(cluster: ControlPlane, stop: threading.Event) -> None:
    """Renew the nodes' leases, as kubelets do: a node that is silent gets no pods."""
    while not stop.wait(10):
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec = {"leaseDurationSeconds": 40, "renewTime": now}
        cluster.apply(
            *(
                {
                    "apiVersion": "coordination.k8s.io/v1",
                    "kind": "Lease",
                    "metadata": {"name": name, "namespace": "kube-node-lease"},
                    "spec": spec | {"holderIdentity": name},
                }
                for name in NODES
            )
        )


def start(cluster: ControlPlane, pod: Document) -> None:
    """What a kubelet would say of a pod that serves; nobody answers at its address."""
    since = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    conditions = [
        {"type": kind, "status": "True", "lastTransitionTime": since}
        for kind in ("PodScheduled", "Ready", "ContainersReady")
    ]
    status = {"phase": "Running", "podIP": "127.0.0.9", "podIPs": [{"ip": "127.0.0.9"}]}
    cluster.kubectl(
        "patch",
        "pod",
        pod["metadata"]["name"],
        "-n",
        pod["metadata"]["namespace"],
        "--subresource=status",
        "--type=merge",
        "-p",
        json.dumps({"status": status | {"conditions": conditions}}),
    )


def items(cluster: ControlPlane, kind: str, namespace: str) -> list[Document]:
    return list(cluster.get(kind, "-n", namespace)["items"])


def scheduled(cluster: ControlPlane, namespace: str) -> list[Document]:
    return [one for one in items(cluster, "pods", namespace) if one["spec"].get("nodeName")]


def condition(
    cluster: ControlPlane, namespace: str, kind: str, name: str = "sentiment"
) -> tuple[str, str] | None:
    status = cluster.get("inferenceservice", name, "-n", namespace).get("status", {})
    return next(
        ((c["status"], c["reason"]) for c in status.get("conditions", []) if c["type"] == kind),
        None,
    )


def test_the_smallest_service_becomes_a_deployment_and_a_service(
    installed: ControlPlane, operator: Operator, shop: str
) -> None:
    installed.apply(service(shop))
    (deployment,) = until(lambda: items(installed, "deployments", shop))
    (front,) = until(lambda: items(installed, "services", shop))
    assert deployment["metadata"]["name"] == "sentiment-default-l4-reserved"
    assert deployment["spec"]["replicas"] == 1
    assert front["spec"]["selector"] == {"farthing.dev/service": "sentiment"}
    managers = {one["manager"]: one["operation"] for one in _managed(installed, deployment)}
    assert managers["farthing"] == "Apply"
    assert items(installed, "poddisruptionbudgets", shop) == []
    found = until(lambda: installed.get("fis", "sentiment", "-n", shop).get("status"))
    assert (found["observedGeneration"], found["replicas"]) == (1, 1)


def _managed(cluster: ControlPlane, deployment: Document) -> list[Document]:
    metadata = deployment["metadata"]
    shown = cluster.get(
        "deployment", metadata["name"], "-n", metadata["namespace"], "--show-managed-fields"
    )
    return list(shown["metadata"]["managedFields"])


def test_a_second_replica_brings_a_disruption_budget_and_its_loss_takes_it_away(
    installed: ControlPlane, operator: Operator, shop: str
) -> None:
    installed.apply(service(shop, replicas=2))
    until(lambda: items(installed, "poddisruptionbudgets", shop))
    assert sum(one["spec"]["replicas"] for one in items(installed, "deployments", shop)) == 2
    installed.kubectl(
        "patch", "fis", "sentiment", "-n", shop, "--type=merge", "-p", '{"spec":{"paused":true}}'
    )
    until(lambda: condition(installed, shop, "Reconciling") == ("False", "Paused"))


def test_a_count_edited_by_hand_is_put_right(
    installed: ControlPlane, operator: Operator, shop: str
) -> None:
    installed.apply(service(shop))
    (deployment,) = until(lambda: items(installed, "deployments", shop))
    name = deployment["metadata"]["name"]
    installed.kubectl("scale", "deployment", name, "-n", shop, "--replicas=3")
    until(lambda: installed.get("deployment", name, "-n", shop)["spec"]["replicas"] == 1)


def test_what_belongs_to_somebody_else_is_never_taken_over(
    installed: ControlPlane, operator: Operator, shop: str
) -> None:
    foreign = {"ports": [{"port": 81}], "selector": {"app": "theirs"}}
    installed.apply(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "sentiment", "namespace": shop},
            "spec": foreign,
        }
    )
    installed.apply(service(shop))
    until(lambda: condition(installed, shop, "Stalled") == ("True", "Contested"))
    (front,) = items(installed, "services", shop)
    assert front["spec"]["selector"] == {"app": "theirs"}
    assert "ownerReferences" not in front["metadata"]


def test_a_missing_runtime_is_said_and_heals(
    installed: ControlPlane, operator: Operator, shop: str
) -> None:
    installed.apply(service(shop, runtimeRef={"name": "nowhere"}))
    until(lambda: condition(installed, shop, "Stalled") == ("True", "RuntimeNotFound"))
    installed.apply(service(shop))
    until(lambda: condition(installed, shop, "Stalled") == ("False", "Progressing"))


def test_a_notice_brings_a_replacement_within_two_seconds(
    installed: ControlPlane, operator: Operator, shop: str
) -> None:
    installed.apply(service(shop))
    (pod,) = until(lambda: scheduled(installed, shop))
    start(installed, pod)
    until(lambda: condition(installed, shop, "Ready") == ("True", "Serving"))
    added = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    taint = {"key": "farthing.dev/interrupted", "effect": "NoSchedule", "timeAdded": added}
    name = pod["spec"]["nodeName"]
    started = time.monotonic()
    give = json.dumps({"spec": {"taints": [taint]}})
    installed.kubectl("patch", "node", name, "--type=merge", "-p", give)
    until(
        lambda: sum(one["spec"]["replicas"] for one in items(installed, "deployments", shop)) == 2,
        patience_s=5,
    )
    # Two of the steps are kubectl's: the patch and the question that found the change.
    assert time.monotonic() - started < 2.0
    installed.kubectl(
        "patch", "node", name, "--type=merge", "-p", json.dumps({"spec": {"taints": []}})
    )


def test_nothing_but_the_lease_is_written_while_nothing_changes(
    installed: ControlPlane, operator: Operator, shop: str
) -> None:
    installed.apply(service(shop))
    (pod,) = until(lambda: scheduled(installed, shop))
    start(installed, pod)
    until(lambda: condition(installed, shop, "Ready") == ("True", "Serving"))
    settled = until(lambda: _settled(installed))
    time.sleep(11)
    later = installed.writes(ACCOUNT)[settled:]
    written = Counter(entry["objectRef"]["resource"] for entry in later)
    # A renewal every five seconds.
    assert written.keys() == {"leases"}
    assert written["leases"] <= 3


def _settled(cluster: ControlPlane) -> int:
    """How many writes there were, once three seconds went by with only renewals."""
    before = len(cluster.writes(ACCOUNT))
    time.sleep(3)
    new = cluster.writes(ACCOUNT)[before:]
    quiet = all(entry["objectRef"]["resource"] == "leases" for entry in new)
    return before + len(new) if quiet else 0


def test_the_operator_s_rights_hold_no_secret_no_node_and_no_wildcard(
    installed: ControlPlane,
) -> None:
    def may(*what: str) -> bool:
        return (
            installed.kubectl("auth", "can-i", *what, f"--as={ACCOUNT}", check=False).stdout.strip()
            == "yes"
        )

    assert [
        may("list", "secrets", "-A"),
        may("patch", "nodes"),
        may("create", "pods"),
        may("create", "pods", "--subresource=exec"),
        may("patch", "inferenceservices.farthing.dev", "-A"),
        may("update", "leases.coordination.k8s.io", "-n", "default"),
    ] == [False] * 6
    assert may("patch", "inferenceservices.farthing.dev", "--subresource=status", "-A")
    role = installed.get("clusterrole", "farthing-operator")
    words = [word for rule in role["rules"] for part in rule.values() for word in part]
    assert "*" not in words


def test_tenants_edit_services_and_only_see_budgets(installed: ControlPlane) -> None:
    installed.kubectl(
        "create", "rolebinding", "dev", "-n", "default", "--clusterrole=edit", "--user=dev"
    )

    def may(*what: str) -> str:
        return installed.kubectl(
            "auth", "can-i", *what, "-n", "default", "--as=dev", check=False
        ).stdout.strip()

    until(lambda: may("update", "inferenceservices.farthing.dev") == "yes")
    assert may("update", "clusterbudgets.farthing.dev") == "no"
    assert may("update", "capacitypools.farthing.dev") == "no"


def test_the_operator_is_live_ready_and_measured(
    installed: ControlPlane, operator: Operator
) -> None:
    assert (operator.status("/livez"), operator.status("/readyz")) == (200, 200)
    page = operator.page()
    assert "farthing_leader 1.0" in page
    assert 'farthing_currency{currency="USD"} 1.0' in page


def test_deletion_works_while_the_operator_is_down_and_a_stop_frees_the_lease(
    own_control_plane: ControlPlane, tmp_path: pathlib.Path
) -> None:
    installed, shop = own_control_plane, "default"
    processes.install(installed)
    with processes.operator(installed, tmp_path) as operator:
        installed.apply(service(shop))
        until(lambda: items(installed, "deployments", shop))
        assert operator.stop() == 0
    holder = installed.get("lease", "farthing-operator", "-n", "farthing-system")["spec"][
        "holderIdentity"
    ]
    assert holder == ""
    installed.kubectl("delete", "fis", "sentiment", "-n", shop, "--timeout=20s")
    # The garbage collector looks for new kinds twice a minute, and these are just installed.
    until(lambda: not items(installed, "deployments", shop), patience_s=90)
    with processes.operator(installed, tmp_path) as again:
        assert again.status("/readyz") == 200
