"""What the shared control plane does for the tests that stand on it."""

from __future__ import annotations

import json
import stat

import pytest
from tests.cluster_fixture import ControlPlane, eventually

pytestmark = pytest.mark.cluster

_NODE = {
    "apiVersion": "v1",
    "kind": "Node",
    "metadata": {"name": "made-by-a-test", "labels": {"made-by": "a-test"}},
    "status": {
        "allocatable": {"cpu": "8", "memory": "32Gi", "pods": "110", "nvidia.com/gpu": "2"},
        "capacity": {"cpu": "8", "memory": "32Gi", "pods": "110", "nvidia.com/gpu": "2"},
        "conditions": [
            {"type": "Ready", "status": "True", "reason": "Test", "message": "says the test"}
        ],
    },
}
_LABELS = {"app": "two-gpus"}
_DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "two-gpus", "namespace": "default"},
    "spec": {
        "replicas": 3,
        "selector": {"matchLabels": _LABELS},
        "template": {
            "metadata": {"labels": _LABELS},
            "spec": {
                "nodeSelector": {"made-by": "a-test"},
                "containers": [
                    {
                        "name": "server",
                        "image": "any",
                        "resources": {"limits": {"nvidia.com/gpu": "1"}},
                    }
                ],
            },
        },
    },
}


def test_the_parts_report_the_versions_they_were_built_from(control_plane: ControlPlane) -> None:
    said = control_plane.kubectl("version").stdout.splitlines()
    versions = {line.split(":")[0]: line.split(": ")[1] for line in said}
    assert versions["Client Version"] == versions["Server Version"] == "v1.37.2"


def test_pods_of_a_deployment_are_scheduled_as_far_as_the_gpus_of_a_node_go(
    control_plane: ControlPlane,
) -> None:
    control_plane.kubectl("create", "-f", "-", stdin=json.dumps(_NODE))
    try:
        control_plane.apply(_DEPLOYMENT)
        said = eventually(lambda: _placements(control_plane), lambda found: None not in found)
        assert sorted(said) == ["Unschedulable", "made-by-a-test", "made-by-a-test"]
    finally:
        control_plane.kubectl("delete", "deployment", "two-gpus", "--ignore-not-found")
        control_plane.kubectl("delete", "node", "made-by-a-test")


def _placements(control_plane: ControlPlane) -> list[str | None]:
    """For each of three pods its node, or why it has none, or nothing while it is undecided."""
    pods = control_plane.get("pods", "-l", "app=two-gpus")["items"]
    found = [
        pod["spec"].get("nodeName")
        or next((one.get("reason") for one in pod["status"].get("conditions", [])), None)
        for pod in pods
    ]
    return found + [None] * (3 - len(found))


def test_cluster_addresses_of_services_are_on_loopback(control_plane: ControlPlane) -> None:
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "on-loopback", "namespace": "default"},
        "spec": {"ports": [{"port": 80}]},
    }
    control_plane.apply(service)
    address = control_plane.get("service", "on-loopback")["spec"]["clusterIP"]
    control_plane.kubectl("delete", "service", "on-loopback")
    assert address.startswith("127.240.")


def test_writes_are_counted_and_reads_are_not(control_plane: ControlPlane) -> None:
    before = len(control_plane.writes("admin"))
    control_plane.kubectl("create", "configmap", "counted", "--from-literal=a=1")
    control_plane.kubectl("get", "configmap", "counted")
    control_plane.kubectl("delete", "configmap", "counted", "--wait=false")
    new = control_plane.writes("admin")[before:]
    assert [(entry["verb"], entry["objectRef"]["name"]) for entry in new] == [
        ("create", "counted"),
        ("delete", "counted"),
    ]


def test_a_service_account_has_only_the_rights_it_was_given(control_plane: ControlPlane) -> None:
    token = control_plane.kubectl("create", "token", "default").stdout.strip()
    refused = control_plane.kubectl(
        "--kubeconfig=/dev/null",
        f"--server={control_plane.server}",
        f"--certificate-authority={control_plane.home / 'pki' / 'ca.crt'}",
        f"--token={token}",
        "get",
        "nodes",
        check=False,
    )
    assert refused.returncode == 1
    assert 'User "system:serviceaccount:default:default" cannot list resource' in refused.stderr


def test_secrets_of_the_cluster_are_readable_by_their_owner_only(
    control_plane: ControlPlane,
) -> None:
    home = control_plane.home
    files = [
        home / "kubeconfig",
        *(home / "pki").iterdir(),
        *(home / "kubeconfigs").iterdir(),
    ]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
