"""Objects of a small cluster, complete, so that a test states only what matters."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from farthing import api
from farthing.core.domain import CapacityType, PoolName, VariantName, WorkloadId
from farthing.kube.store import Store
from farthing.kube.translate import Facts, Resources, resources

AT = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
CREATED = "2026-11-25T11:58:00Z"
SCHEDULED = "2026-11-25T11:58:10Z"
READY = "2026-11-25T11:59:00Z"
SENTIMENT = WorkloadId(namespace="shop", name="sentiment")
DEFAULT = VariantName("default")
SPOT = PoolName("spot")
Document = dict[str, Any]


def _object(
    kind: str, name: str, spec: Document, namespace: str | None, labels: Document
) -> Document:
    metadata = {
        "name": name,
        "uid": f"uid-{name}",
        "generation": 1,
        "resourceVersion": "10",
        "creationTimestamp": CREATED,
        "labels": labels,
    }
    if namespace is not None:
        metadata["namespace"] = namespace
    return {"apiVersion": "farthing.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}


def service(name: str = "sentiment", **spec: Any) -> Document:
    given = {
        "model": {"uri": "image:///models/sentiment"},
        "slo": {"latencyMilliseconds": 300},
        "budget": {"amount": "12.00", "period": "Day"},
    }
    return _object("InferenceService", name, given | spec, "shop", {})


def pool(name: str = "spot", **spec: Any) -> Document:
    given = {
        "capacityType": "Spot",
        "slot": {
            "cpu": "8",
            "memory": "32Gi",
            "accelerator": {"resourceName": "nvidia.com/gpu", "model": "NVIDIA-L4"},
        },
        "nodeSelector": {"farthing.dev/pool": name},
        "price": {"perSlotHour": "0.284"},
        "interruption": {"noticeSeconds": 20, "priorPerHour": "0.12"},
    }
    labels = {"farthing.dev/region": "eu"}
    return _object("CapacityPool", name, given | spec, None, labels)


def runtime(name: str = "torch", **spec: Any) -> Document:
    given = {
        "image": "farthing/server:0.1.0",
        "args": ["--host", "$(POD_IP)"],
        "precisions": ["Float32"],
    }
    return _object("InferenceRuntime", name, given | spec, None, {})


def profile(name: str = "measured", provenance: str = "Declared", **entry: Any) -> Document:
    given = {
        "variant": "default",
        "hardware": "NVIDIA-L4",
        "maximumBatchSize": 11,
        "batches": [{"size": 1, "milliseconds": "20"}, {"size": 11, "milliseconds": "120"}],
    }
    spec = {
        "modelUri": "image:///models/sentiment",
        "provenance": provenance,
        "entries": [given | entry],
    }
    return _object("ModelProfile", name, spec, "shop", {})


def budget(name: str = "research", **spec: Any) -> Document:
    return _object("ClusterBudget", name, {"amount": "400.00", "period": "Day"} | spec, None, {})


def pod(
    name: str = "sentiment-1", *, node: str | None = "spot-0", ready: bool = True, **metadata: Any
) -> Document:
    labels = {
        "farthing.dev/service": "sentiment",
        "farthing.dev/pool": "spot",
        "farthing.dev/variant": "default",
    }
    conditions = []
    if node is not None:
        conditions = [
            {"type": "PodScheduled", "status": "True", "lastTransitionTime": SCHEDULED},
            {"type": "Ready", "status": str(ready), "lastTransitionTime": READY},
        ]
    return {
        "metadata": {
            "name": name,
            "namespace": "shop",
            "uid": f"uid-{name}",
            "labels": labels,
            "creationTimestamp": CREATED,
            **metadata,
        },
        "spec": {"nodeName": node},
        "status": {"phase": "Running", "podIP": "127.0.0.9", "conditions": conditions},
    }


def node(
    name: str = "spot-0", *, taints: tuple[Document, ...] = (), ready: str = "True"
) -> Document:
    return {
        "metadata": {"name": name, "labels": {"farthing.dev/pool": "spot"}},
        "spec": {"taints": list(taints)},
        "status": {
            "allocatable": {"cpu": "16", "memory": "64Gi", "nvidia.com/gpu": "2"},
            "conditions": [{"type": "Ready", "status": ready}],
        },
    }


def facts(**changes: Any) -> Facts:
    return Facts(**{"pods": {}, "notices": {}, "deployments": {}, "namespaces": {}} | changes)


def stored(*documents: Document) -> Store:
    store = Store()
    for document in documents:
        store.put(document)
    return store


def found(*documents: Document) -> Resources:
    return resources(stored(*documents))


def decoded(document: Document) -> Any:
    return api.decode(document)


PRICE = Decimal("0.284")
TYPE = CapacityType.SPOT
