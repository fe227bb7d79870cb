"""What is kept of each watched kind: only what a tick reads, so that memory stays small."""

from __future__ import annotations

from farthing.kube import documents
from farthing.kube.documents import Json

_CONDITIONS = ("Ready", "PodScheduled")


def pod(document: Json) -> Json:
    """Identity, labels, node, address, conditions and container state."""
    metadata = document["metadata"]
    return {
        "metadata": _metadata(metadata, "uid", "creationTimestamp", "deletionTimestamp")
        | {"annotations": _deletion_cost(documents.annotations_of(document))},
        "spec": {"nodeName": documents.part(document, "spec").get("nodeName")},
        "status": {
            "phase": documents.part(document, "status").get("phase"),
            "podIP": documents.part(document, "status").get("podIP"),
            "conditions": _conditions(document),
        },
    }


def node(document: Json) -> Json:
    """Labels, taints, readiness and what may be allocated."""
    return {
        "metadata": _metadata(document["metadata"], "uid", "creationTimestamp"),
        "spec": {"taints": documents.items(document, "spec", "taints")},
        "status": {
            "allocatable": documents.part(document, "status", "allocatable"),
            "conditions": _conditions(document),
        },
    }


def namespace(document: Json) -> Json:
    """Labels: they decide which budgets a namespace pays from."""
    return {"metadata": _metadata(document["metadata"], "uid")}


def _metadata(metadata: Json, *names: str) -> Json:
    kept = ("name", "namespace", "labels", *names)
    return {name: metadata[name] for name in kept if name in metadata}


def _conditions(document: Json) -> list[Json]:
    return [
        {name: one.get(name) for name in ("type", "status", "reason", "lastTransitionTime")}
        for one in documents.items(document, "status", "conditions")
        if one.get("type") in _CONDITIONS
    ]


def _deletion_cost(annotations: Json) -> Json:
    name = "controller.kubernetes.io/pod-deletion-cost"
    return {name: annotations[name]} if name in annotations else {}
