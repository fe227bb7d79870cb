"""KWOK plays nodes that exist as objects only."""

from __future__ import annotations

import pathlib

import pytest
from tests.cluster_fixture import ControlPlane, eventually, running_cluster, short_folder

from farthing_local import cluster, errors, kwok

pytestmark = [pytest.mark.cluster, pytest.mark.slow]
_PODS = 100


def _node(name: str, **labels: str) -> dict[str, object]:
    resources = {"cpu": "1k", "memory": "1Ti", "pods": "500", "nvidia.com/gpu": "100"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "status": {"allocatable": resources, "capacity": resources},
    }


def _deployment(replicas: int) -> dict[str, object]:
    labels = {"app": "many"}
    container = {
        "name": "server",
        "image": "any",
        "resources": {"limits": {"nvidia.com/gpu": "1"}},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "many", "namespace": "default"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"nodeSelector": {kwok.LABEL: "true"}, "containers": [container]},
            },
        },
    }


def _ready(running: ControlPlane, node: str) -> str:
    conditions = running.get("node", node)["status"].get("conditions", [])
    return next((one["status"] for one in conditions if one["type"] == "Ready"), "none")


def test_labeled_nodes_become_ready_run_pods_and_let_them_go() -> None:
    with short_folder() as folder, running_cluster(folder / "home") as running:
        component = kwok.start(running.home)
        assert kwok.start(running.home) == component
        for document in (
            _node("simulated", **{kwok.LABEL: "true"}),
            _node("somebody-elses"),
        ):
            running.apply(document)
        assert eventually(lambda: _ready(running, "simulated"), lambda ready: ready == "True")
        running.apply(_deployment(_PODS))
        running.kubectl("rollout", "status", "deployment/many", "--timeout=120s")
        pods = running.get("pods", "-l", "app=many")["items"]
        assert {pod["spec"]["nodeName"] for pod in pods} == {"simulated"}
        assert len({pod["status"]["podIP"] for pod in pods}) == _PODS
        assert _ready(running, "somebody-elses") != "True"
        running.kubectl("delete", "deployment", "many")
        left = eventually(
            lambda: running.get("pods", "-l", "app=many")["items"], lambda pods: pods == []
        )
        assert left == []
        assert "kwok" in cluster.down(running.home)


def test_kwok_needs_a_cluster(tmp_path: pathlib.Path) -> None:
    with pytest.raises(errors.ComponentError, match="No local cluster runs in"):
        kwok.start(tmp_path)
