"""What the operator does while nothing changes: nothing, at almost no cost."""

from __future__ import annotations

import time

import pytest
from tests.cluster.live import Live, seconds_of_cpu, service, until

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(240)]
SERVICES = [f"idle-{number}" for number in range(20)]
WATCHED_S = 60.0


def settled(live: Live) -> int:
    """How many writes there were, once five seconds went by without one; 0 before."""
    before = len(live.writes())
    time.sleep(5)
    return before if len(live.writes()) == before else 0


def test_twenty_idle_services_cost_no_write(live: Live, shop: str) -> None:
    """The share of a core is printed (`pytest -s`): a figure is measured, not a reason to fail a busy machine."""
    live.plane.apply(*(service(shop, name) for name in SERVICES))
    live.when_ready(shop, *SERVICES, within_s=120)
    before = until(lambda: settled(live), 60)
    operator = live.operator_pid()
    used_s, began_s = seconds_of_cpu(operator), time.monotonic()
    time.sleep(WATCHED_S)
    used_fraction = (seconds_of_cpu(operator) - used_s) / (time.monotonic() - began_s)
    print(f"operator CPU: {used_fraction:.2%} of a core, {len(SERVICES)} services idle")
    written = [
        (one["verb"], one["objectRef"]["resource"], one["objectRef"]["name"])
        for one in live.writes()[before:]
    ]
    assert written == []
