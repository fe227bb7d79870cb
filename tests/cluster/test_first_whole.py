"""From `kubectl apply` to answers, more replicas and nothing left: what the operator is for."""

from __future__ import annotations

import json
import urllib.request

import pytest
from benchmarks.demo.load import Outcome
from tests.cluster.live import OPERATOR, REPOSITORY, SYSTEM, Live, burst, service, traffic, until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]
SAMPLES = str(REPOSITORY / "crds" / "samples" / "valid")
TEXT = {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [1], "data": ["hello"]}]}


def answer(url: str) -> dict[str, object]:
    request = urllib.request.Request(
        url, json.dumps(TEXT).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as response:
        found: dict[str, object] = json.loads(response.read())
        return found


def names_of(live: Live, namespace: str) -> dict[str, list[str]]:
    """What was made for the services of a namespace, except pods."""
    return {
        kind: [one["metadata"]["name"] for one in live.items(kind, namespace)]
        for kind in ("deployments", "services", "poddisruptionbudgets")
    }


def test_an_applied_service_answers_grows_with_its_queue_and_leaves_nothing(
    live: Live, shop: str
) -> None:
    document = json.dumps(service(shop, "brisk"))
    assert "created" in live.plane.kubectl("apply", "-f", "-", stdin=document).stdout
    live.when_ready(shop, "brisk")
    assert names_of(live, shop) == {
        "deployments": ["brisk-default-bulk"],
        "services": ["brisk"],
        # One replica alone is never in the way of a drain.
        "poddisruptionbudgets": [],
    }
    assert answer(live.url(shop, "brisk"))["model_name"] == "brisk"
    with traffic(live.url(shop, "brisk"), burst(60)) as sent:
        until(lambda: live.replicas(shop, "brisk") > 1, 5)
    assert (len(sent.requests), sent.lost) == (60, [])
    assert sent.count(Outcome.ANSWERED) >= 10
    live.when_ready(shop, "brisk")
    assert live.service(shop, "brisk")["status"]["replicas"] > 1
    assert names_of(live, shop)["poddisruptionbudgets"] == ["brisk"]
    applied = live.plane.kubectl("apply", "-f", "-", stdin=document).stdout
    assert applied.strip().endswith("unchanged")
    assert live.plane.kubectl("diff", "-f", "-", stdin=document, check=False).returncode == 0
    live.plane.kubectl("delete", "fis", "brisk", "-n", shop, "--timeout=20s")
    until(lambda: not any(names_of(live, shop).values()) and not live.items("pods", shop), 40)


def test_applying_every_valid_sample_twice_changes_nothing_after_they_were_scaled(
    live: Live, shop: str
) -> None:
    try:
        live.plane.kubectl("apply", "-n", shop, "-f", SAMPLES)
        until(lambda: len(live.items("deployments", shop)) >= 2)
        live.plane.kubectl("scale", "fis", "sentiment", "-n", shop, "--replicas=2")
        until(lambda: live.service(shop, "sentiment")["status"].get("replicas") == 2)
        said = live.plane.kubectl("apply", "-n", shop, "-f", SAMPLES).stdout.splitlines()
        assert [line for line in said if not line.endswith("unchanged")] == []
        difference = live.plane.kubectl("diff", "-n", shop, "-f", SAMPLES, check=False)
        assert (difference.returncode, difference.stdout) == (0, "")
    finally:
        live.plane.kubectl("delete", "-n", shop, "-f", SAMPLES, "--ignore-not-found")
        # One of the samples has the name of a pool that others use.
        live.plane.kubectl("apply", "-k", str(REPOSITORY / "manifests" / "overlays" / "local"))


def test_a_service_is_deleted_while_the_operator_is_down(live: Live, shop: str) -> None:
    live.plane.apply(service(shop, "brisk"))
    live.when_ready(shop, "brisk")
    last = live.leader()
    scale = ("scale", f"deployment/{OPERATOR}", "-n", SYSTEM)
    try:
        live.plane.kubectl(*scale, "--replicas=0")
        until(lambda: not live.items("pods", SYSTEM))
        assert answer(live.url(shop, "brisk"))["model_name"] == "brisk"
        live.plane.kubectl("delete", "fis", "brisk", "-n", shop, "--timeout=20s")
        until(lambda: not live.items("deployments", shop) + live.items("pods", shop), 40)
    finally:
        live.plane.kubectl(*scale, "--replicas=1")
    live.when_led_by_another(last)
