"""The documents that make a node: its object, its heartbeat, its lease, its taints. Pure."""

from __future__ import annotations

import datetime
import platform

from farthing_local.agent.documents import Json, micro_timestamp, name, timestamp, uid
from farthing_local.agent.settings import Pool

INTERRUPTED_TAINT = "farthing.dev/interrupted"
POOL_LABEL = "farthing.dev/pool"
CAPACITY_TYPE_LABEL = "farthing.dev/capacity-type"
# Marks the nodes of this agent: others, such as KWOK's, may live in the same cluster.
PROVIDER = "farthing-local://"
HOST_IP = "127.0.0.1"
LEASE_DURATION_S = 40

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_KUBELET_VERSION = "v1.37.2-farthing"


def node_name(pool: str, ordinal: int) -> str:
    return f"{pool}-{ordinal}"


def ordinal_of(node: str, pool: str) -> int | None:
    """The number in a node's name, or none when it is not named after this pool."""
    rest = node.removeprefix(f"{pool}-")
    return int(rest) if rest != node and rest.isdigit() else None


def is_ours(node: Json) -> bool:
    return str(node.get("spec", {}).get("providerID", "")).startswith(PROVIDER)


def is_interrupted(node: Json) -> bool:
    taints = node.get("spec", {}).get("taints") or []
    return any(taint["key"] == INTERRUPTED_TAINT for taint in taints)


def allocatable(pool: Pool) -> Json:
    resources = {
        "cpu": pool.shape.cpu,
        "memory": pool.shape.memory,
        "pods": str(pool.shape.pods),
        "ephemeral-storage": "100Gi",
    }
    if pool.shape.accelerator is not None:
        resources[pool.shape.accelerator.resource_name] = str(pool.shape.accelerator.count)
    return resources


def node_document(pool: Pool, node: str, *, kubelet_port: int, at: datetime.datetime) -> Json:
    """The node as a kubelet registers it; not yet trusted until its Ready condition is seen."""
    labels = {
        "kubernetes.io/hostname": node,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": architecture(),
        **pool.labels,
        POOL_LABEL: pool.name,
        CAPACITY_TYPE_LABEL: pool.capacity_type,
    }
    accelerator = pool.shape.accelerator
    if accelerator is not None:
        # The label under which a vendor's feature discovery names the model, as in a real cluster.
        labels[f"{accelerator.resource_name}.product"] = accelerator.model
    document: Json = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": node, "labels": labels},
        "spec": {"providerID": f"{PROVIDER}{pool.name}/{node}"},
        "status": node_status(pool, kubelet_port=kubelet_port, at=at),
    }
    if pool.taints:
        document["spec"]["taints"] = list(pool.taints)
    return document


def architecture() -> str:
    return _ARCHITECTURES.get(platform.machine(), platform.machine())


def node_status(pool: Pool, *, kubelet_port: int, at: datetime.datetime) -> Json:
    return {
        "capacity": allocatable(pool),
        "allocatable": allocatable(pool),
        "addresses": [{"type": "InternalIP", "address": HOST_IP}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": kubelet_port}},
        "nodeInfo": {
            "machineID": "",
            "systemUUID": "",
            "bootID": "",
            "kernelVersion": platform.release(),
            "osImage": platform.system(),
            "containerRuntimeVersion": "process://1",
            "kubeletVersion": _KUBELET_VERSION,
            "kubeProxyVersion": _KUBELET_VERSION,
            "operatingSystem": "linux",
            "architecture": architecture(),
        },
        "conditions": ready_conditions(at),
    }


def ready_conditions(at: datetime.datetime, since: str | None = None) -> list[Json]:
    """The condition that says the node can take pods; `since` is when that began to hold."""
    return [
        {
            "type": "Ready",
            "status": "True",
            "reason": "KubeletReady",
            "message": "the node agent runs",
            "lastHeartbeatTime": timestamp(at),
            "lastTransitionTime": since or timestamp(at),
        }
    ]


def ready_since(node: Json) -> str | None:
    for condition in node.get("status", {}).get("conditions") or []:
        if condition["type"] == "Ready" and condition["status"] == "True":
            return str(condition["lastTransitionTime"])
    return None


def lease_document(node: Json, at: datetime.datetime) -> Json:
    owner = {"apiVersion": "v1", "kind": "Node", "name": name(node), "uid": uid(node)}
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": name(node), "ownerReferences": [owner]},
        "spec": {
            "holderIdentity": name(node),
            "leaseDurationSeconds": LEASE_DURATION_S,
            "renewTime": micro_timestamp(at),
        },
    }


def interrupted_taints(node: Json, at: datetime.datetime) -> list[Json]:
    """The node's taints with the notice of its end among them."""
    others = [
        taint
        for taint in node.get("spec", {}).get("taints") or []
        if taint["key"] != INTERRUPTED_TAINT
    ]
    notice = {"key": INTERRUPTED_TAINT, "effect": "NoSchedule", "timeAdded": timestamp(at)}
    return [*others, notice]
