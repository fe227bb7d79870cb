"""The operator dies without warning, again and again: nobody who is served notices."""

from __future__ import annotations

import json
import time
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from tests.cluster.live import PRICE_PER_HOUR, Live, service, steady, traffic, until

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(240)]
KILLS = 5
# The first leads when it dies, the others die on the way there, and the last one takes over.
LED = (KILLS - 1,)
PERIOD_S = 1.0


def test_an_operator_that_is_killed_costs_no_replica_no_request_and_no_money(
    live: Live, shop: str
) -> None:
    spec: dict[str, Any] = {"scaling": {"minReplicas": 2, "maxReplicas": 4}}
    live.plane.apply(service(shop, "brisk", **spec))
    live.when_ready(shop, "brisk")
    before, names = placements(live, shop), pods(live, shop)
    fewest = live.replicas(shop, "brisk")
    with traffic(live.url(shop, "brisk"), steady(8, 40)) as sent:
        for number in range(KILLS):
            leader = live.kill_operator()
            if number in LED:
                live.when_led_by_another(leader)
            else:
                until(lambda: running(live))
            fewest = min(fewest, live.replicas(shop, "brisk"))
    live.when_ready(shop, "brisk")
    assert fewest == 2
    assert (placements(live, shop), pods(live, shop)) == (before, names)
    assert sent.lost == []
    spent, exact = spends(live, shop)
    print(f"{KILLS} kills: spent {spent}, exact {exact}, {len(sent.requests)} requests, none lost")
    assert abs(spent - exact) <= Decimal(PRICE_PER_HOUR) * 3 * Decimal(PERIOD_S) / 3600


def spends(live: Live, namespace: str) -> tuple[Decimal, Decimal]:
    """What the status charges, and what the pods cost by their own times until the same instant."""
    asked = datetime.now().astimezone()
    # A change of the plan has the status written, and the money with it.
    more = json.dumps({"spec": {"scaling": {"minReplicas": 3}}})
    live.plane.kubectl("patch", "fis", "brisk", "-n", namespace, "--type=merge", "-p", more)
    spend = until(lambda: _spend_after(live, namespace, asked))
    end = datetime.fromisoformat(spend["chargedUntil"])
    hours = Decimal(0)
    for pod in live.items("pods", namespace):
        conditions = {one["type"]: one for one in pod["status"].get("conditions", [])}
        start = datetime.fromisoformat(conditions["PodScheduled"]["lastTransitionTime"])
        hours += Decimal(max(0, (end - start) // timedelta(microseconds=1))) / 3_600_000_000
    return Decimal(spend["amount"]), hours * Decimal(PRICE_PER_HOUR)


def _spend_after(live: Live, namespace: str, at: datetime) -> dict[str, Any]:
    status = live.service(namespace, "brisk")["status"]
    spend: dict[str, Any] = status.get("spend") or {}
    late = bool(spend) and datetime.fromisoformat(spend["chargedUntil"]) > at
    return spend if late and status["replicas"] == 3 else {}


def placements(live: Live, namespace: str) -> list[tuple[str, int]]:
    status = live.service(namespace, "brisk")["status"]
    return [(one["pool"], one["target"]) for one in status["placements"]]


def pods(live: Live, namespace: str) -> set[str]:
    return {one["metadata"]["name"] for one in live.items("pods", namespace)}


def running(live: Live) -> bool:
    time.sleep(0.5)
    try:
        return live.operator_pid() > 0
    except (AssertionError, KeyError, ValueError):
        return False
