"""Which nodes are about to be taken away, and since when: read from their taints.

Every platform says it in its own taint (the table is in the documentation of pools); the time is
the taint's `timeAdded` where there is one, else the moment that the taint was first seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from farthing.kube import documents
from farthing.kube.documents import Json

NOTICES = frozenset(
    {
        "farthing.dev/interrupted",
        "karpenter.sh/disrupted",
        "aws-node-termination-handler/spot-itn",
        "aws-node-termination-handler/asg-lifecycle-termination",
        "aws-node-termination-handler/scheduled-maintenance",
        "aws-node-termination-handler/rebalance-recommendation",
        "remediator.kubernetes.azure.com/unschedulable",
        "cloud.google.com/impending-node-termination",
        "node.cloudprovider.kubernetes.io/shutdown",
        "ToBeDeletedByClusterAutoscaler",
    }
)


def is_interrupted(node: Json | None) -> bool:
    """Whether the node carries a notice."""
    return node is not None and _notice(node) is not None


class Notices:
    """Remembers when each notice was first seen."""

    def __init__(self) -> None:
        self._first_seen: dict[str, datetime] = {}

    def read(self, nodes: Mapping[str, Json], at: datetime) -> dict[str, datetime]:
        """The nodes that carry a notice now, with its time."""
        found: dict[str, datetime] = {}
        for name, node in nodes.items():
            taint = _notice(node)
            if taint is not None:
                since = documents.instant(taint.get("timeAdded")) or self._first_seen.get(name, at)
                found[name] = min(since, at)
        self._first_seen = dict(found)
        return found


def _notice(node: Json) -> Json | None:
    for taint in documents.items(node, "spec", "taints"):
        if taint.get("key") in NOTICES:
            return taint
    return None
