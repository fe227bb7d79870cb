"""Resources with complete defaults, so that a test states only what matters."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

NOW = datetime(2026, 10, 18, 14, 2, 10, tzinfo=UTC)
SINCE = "2026-10-18T13:40:00Z"


def condition(kind: str, status: str = "True", **changes: Any) -> dict[str, Any]:
    defaults = {
        "type": kind,
        "status": status,
        "reason": "Fine" if status == "True" else "MetricsMissing",
        "message": "",
        "lastTransitionTime": SINCE,
    }
    return defaults | changes


DECISION = {
    "id": "d-20481",
    "at": "2026-10-18T14:02:10.000000Z",
    "chosen": "l4-reserved 2, l4-spot 1",
    "costPerHour": "1.186",
    "options": [
        {
            "plan": "l4-reserved 2, l4-spot 1",
            "costPerHour": "1.186",
            "latencyMilliseconds": "640",
            "verdict": "Chosen",
            "reason": "CheapestThatMeetsSLO",
            "message": "cheapest mix that meets the SLO within the limits",
        },
        {
            "plan": "l4-on-demand 3",
            "costPerHour": "2.1",
            "latencyMilliseconds": "640",
            "verdict": "Rejected",
            "reason": "Dearer",
            "message": "0.914 per hour dearer",
        },
        {
            "plan": "cpu-spot (int8)",
            "costPerHour": "unknown",
            "latencyMilliseconds": "unknown",
            "verdict": "Rejected",
            "reason": "BelowAccuracyFloor",
            "message": "",
        },
    ],
    "bindingConstraint": "Demand",
    "reasonCode": "QueueAboveTarget",
    "message": "3 replicas for 52.0 requests/s (48.0 now, 14 queued)",
    "reversesWhen": "adds one above 57.0 requests/s; removes one below 38.0 requests/s",
    "inputs": [
        {"name": "load-direct", "ageSeconds": 4},
        {"name": "latency", "gap": "no request was answered"},
    ],
}
STATUS = {
    "observedGeneration": 1,
    "conditions": [condition("Ready"), condition("MetricsAvailable"), condition("WithinBudget")],
    "replicas": 3,
    "placements": [
        {
            "variant": "fp32",
            "pool": "l4-reserved",
            "capacityType": "Reserved",
            "target": 2,
            "ready": 2,
        },
        {"variant": "fp32", "pool": "l4-spot", "capacityType": "Spot", "target": 1, "ready": 0},
    ],
    "pools": "l4-reserved 2, l4-spot 1",
    "costPerHour": "1.186",
    "costPerThousandRequests": "0.0063",
    "latencyMilliseconds": "250",
    "queueLength": "14",
    "spend": {
        "periodStart": "2026-10-18T00:00:00Z",
        "chargedUntil": "2026-10-18T14:02:10.000000Z",
        "amount": "10.015333333",
        "budget": "30",
        "budgetUsedPercent": "33.4",
        "forecast": "21.8244",
    },
    "decision": DECISION,
}


def service(name: str = "sentiment", namespace: str = "shop", **status: Any) -> dict[str, Any]:
    """An InferenceService that is well, with changes to its status."""
    return {
        "apiVersion": "farthing.dev/v1alpha1",
        "kind": "InferenceService",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "creationTimestamp": "2026-10-18T12:00:00Z",
            "managedFields": [{"manager": "kubectl"}],
        },
        "spec": {
            "model": {"uri": "hf://acme/sentiment"},
            "slo": {"latencyMilliseconds": 800, "percentile": 99},
            "budget": {"amount": "30.00", "period": "Day"},
        },
        "status": STATUS | status,
    }


def unobserved(name: str = "fresh", namespace: str = "shop") -> dict[str, Any]:
    """One that the operator has not seen."""
    made = service(name, namespace)
    del made["status"]
    return made


def blind_service(name: str = "vision", namespace: str = "vision") -> dict[str, Any]:
    return service(
        name,
        namespace,
        conditions=[
            condition("Ready", "Unknown"),
            condition("MetricsAvailable", "False", message="held at 2: no pod answers."),
        ],
        latencyMilliseconds="unknown",
        queueLength="unknown",
        costPerThousandRequests="unknown",
    )


def budget(name: str = "research", **status: Any) -> dict[str, Any]:
    return {
        "apiVersion": "farthing.dev/v1alpha1",
        "kind": "ClusterBudget",
        "metadata": {"name": name},
        "spec": {"amount": "400.00", "period": "Day", "whenExceeded": "CapByPriority"},
        "status": {
            "conditions": [condition("WithinBudget")],
            "spend": {"amount": "120.5", "budget": "400", "forecast": "205.25"},
        }
        | status,
    }
