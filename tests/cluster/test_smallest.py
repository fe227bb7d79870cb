"""A model, an objective and a budget: nothing was measured before, so the operator learns."""

from __future__ import annotations

from typing import Any

import pytest
from benchmarks.demo.load import Outcome
from tests.cluster.live import (
    BASE_MS,
    PER_ITEM_MS,
    Live,
    service,
    traffic,
    unmeasured_runtime,
    until,
)

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(180)]
MODEL = "image:///models/never-measured"
SLO_MS = 1000
FIRST_RPS, LAST_RPS, RISE_S = 6.0, 34.0, 40.0


@pytest.fixture
def unmeasured(live: Live) -> str:
    live.plane.apply(unmeasured_runtime(live))
    return "unmeasured"


def test_a_service_that_nobody_measured_is_learned_and_grows_before_requests_are_late(
    live: Live, shop: str, unmeasured: str
) -> None:
    given = service(shop, "small")
    kept = ("model", "slo", "budget")
    given["spec"] = {key: given["spec"][key] for key in kept} | {
        "model": {"uri": MODEL},
        "slo": {"latencyMilliseconds": SLO_MS},
        "runtimeRef": {"name": unmeasured},
    }
    live.plane.apply(given)
    live.when_ready(shop, "small")
    rise = rising(FIRST_RPS, LAST_RPS, RISE_S)
    with traffic(live.url(shop, "small"), rise) as sent:
        until(lambda: profiles(live, shop), 30)
        until(lambda: live.replicas(shop, "small") > 1, 60)
    late = [one for one in sent.requests if one.latency_s > SLO_MS / 1000]
    missed = len(late) + sent.count(Outcome.REFUSED)
    (learned,) = profiles(live, shop)
    print(f"{missed} of {len(sent.requests)} late or refused; {learned}")
    assert sent.lost == []
    assert float(learned["baseMilliseconds"]) == pytest.approx(BASE_MS, abs=15)
    assert float(learned["perItemMilliseconds"]) == pytest.approx(PER_ITEM_MS, rel=0.15)
    assert missed <= 0.01 * len(sent.requests)


def rising(first_rps: float, last_rps: float, seconds: float) -> list[float]:
    """Arrivals whose rate grows evenly from the first to the last."""
    arrivals = [0.0]
    while arrivals[-1] < seconds:
        now_rps = first_rps + (last_rps - first_rps) * arrivals[-1] / seconds
        arrivals.append(arrivals[-1] + 1 / now_rps)
    return arrivals[:-1]


def profiles(live: Live, namespace: str) -> list[dict[str, Any]]:
    found = live.service(namespace, "small")["status"].get("profiles", [])
    return [one for one in found if one["provenance"] == "Learned"]
