"""Metrics that cannot be had: everything stays as it is, and it is said since when."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from tests.cluster.gate import PORT, Gate
from tests.cluster.live import Live, service, steady, traffic, until

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(180)]
BLOCKED_S = 20.0
STALE_AFTER_S = 10.0


@pytest.fixture
def gate(live: Live) -> Iterator[Gate]:
    """A gate, and a runtime `gated` whose metrics are asked for there."""
    emulated = live.plane.get("inferenceruntime", "emulated")
    spec = emulated["spec"] | {"metrics": emulated["spec"]["metrics"] | {"port": PORT}}
    live.plane.apply(
        {
            "apiVersion": emulated["apiVersion"],
            "kind": "InferenceRuntime",
            "metadata": {"name": "gated"},
            "spec": spec,
        }
    )
    with Gate() as opened:
        yield opened
    live.plane.kubectl("delete", "inferenceruntime", "gated")


def test_without_metrics_nothing_moves_it_is_said_and_ends_by_itself(
    live: Live, gate: Gate, shop: str
) -> None:
    def listen() -> bool:
        for pod in live.items("pods", shop):
            if address := pod.get("status", {}).get("podIP"):
                gate.listen(address)
        return True

    def holds(status: str) -> bool:
        condition = live.condition(shop, "brisk", "MetricsAvailable")
        return bool(listen() and condition.get("status") == status)

    live.plane.apply(service(shop, "brisk", runtimeRef={"name": "gated"}))
    until(lambda: holds("True"), 60)
    with traffic(live.url(shop, "brisk"), steady(4, 40)) as light:
        with gate.shut():
            shut_at = time.time()
            until(lambda: holds("False"))
            noticed_after_s = time.time() - shut_at
            condition = live.condition(shop, "brisk", "MetricsAvailable")
            before = deployments(live, shop)
            # More than one replica serves, which nobody can see.
            with traffic(live.url(shop, "brisk"), steady(25, BLOCKED_S - noticed_after_s)):
                pass
            assert deployments(live, shop) == before
            assert holds("False")
        opened_at = time.monotonic()
        until(lambda: holds("True"))
        print(
            f"noticed after {noticed_after_s:.1f} s, seen again after "
            f"{time.monotonic() - opened_at:.1f} s"
        )
        with traffic(live.url(shop, "brisk"), steady(30, 10)):
            until(lambda: live.replicas(shop, "brisk") > 1)
    assert light.lost == []
    since = datetime.fromisoformat(condition["lastTransitionTime"]).timestamp()
    assert shut_at - 1 <= since <= shut_at + STALE_AFTER_S + 5
    assert condition["reason"] == "Blind"
    assert "no answer" in condition["message"]


def deployments(live: Live, namespace: str) -> dict[str, tuple[Any, Any]]:
    """What is asked for, and how often that was changed."""
    return {
        one["metadata"]["name"]: (one["spec"]["replicas"], one["metadata"]["generation"])
        for one in live.items("deployments", namespace)
    }
