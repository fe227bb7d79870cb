"""From a spike of requests to changed replicas of a Deployment in the API server, and how it splits.

    python -m benchmarks.reaction [--spikes 50]

Each spike goes to an idle service with one replica. `seen` is from the first request to the newest
measurement that the decision rests on, `decided` from there to the operator's write at the API
server, `applied` until that is answered. The rest is this program's own way to notice.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import aiohttp
from benchmarks import figures, watching
from benchmarks.demo import load
from tests.cluster import live as cluster
from tests.cluster.live import Live

NAMESPACE = "reaction"
SERVICES = 10
REQUESTS = 60
GIVEN_UP_AFTER_S = 15.0
LIMIT_S = 2.0
# A replica that is not needed any more stays for a minute; then it takes some time to end.
RESTED_WITHIN_S = 150.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Spike:
    """Seconds from the first request of one spike to what followed."""

    total_s: float
    seen_s: float
    decided_s: float
    applied_s: float


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--spikes", type=int, default=50, help="how many (default 50)")
    wanted = parser.parse_args(arguments).spikes
    if not 1 <= wanted <= 1000:
        parser.error(f"--spikes: {wanted} is not allowed; 1 to 1000")
    with cluster.installed() as live:
        prepare(live)
        spikes = asyncio.run(measure(live, wanted))
    if not spikes:
        print(f"none of {wanted} spikes changed the replicas")
        return 1
    rows = {
        "request to changed replicas": [one.total_s for one in spikes],
        "  seen": [one.seen_s for one in spikes],
        "  decided": [one.decided_s for one in spikes],
        "  applied": [one.applied_s for one in spikes],
    }
    print(f"{len(spikes)} of {wanted} spikes of {REQUESTS} requests changed the replicas")
    print(figures.table(rows))
    result = {name.strip(): figures.summary(values) for name, values in rows.items()}
    path = figures.write("reaction", {"spikes": wanted, "reacted": len(spikes), "seconds": result})
    print(path)
    late = figures.quantile(rows["request to changed replicas"], 0.99) > LIMIT_S
    return 1 if late or len(spikes) < wanted else 0


def prepare(live: Live) -> None:
    """Services of one replica each, with room for two more."""
    live.plane.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        cluster.profile(NAMESPACE),
    )
    scaling = {"minReplicas": 1, "maxReplicas": 3}
    live.plane.apply(*(cluster.service(NAMESPACE, one, scaling=scaling) for one in names()))
    live.when_ready(NAMESPACE, *names(), within_s=120)


def names() -> list[str]:
    return [f"spiky-{number}" for number in range(SERVICES)]


async def measure(live: Live, wanted: int) -> list[Spike]:
    targets = watching.Targets()
    path = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"
    watch = asyncio.create_task(watching.follow(live.plane, path, targets.see))
    urls = {name: live.url(NAMESPACE, name) for name in names()}
    page = f"http://{_operator_address(live)}/metrics"
    found: list[Spike] = []
    async with load.client() as session:
        for number in range(wanted):
            name = names()[number % SERVICES]
            await _rested(live, targets, name)
            # The moment within the operator's second must not be the same each time.
            await asyncio.sleep(number * 0.37 % 1.0)
            spike = await _spike(live, session, urls[name], name, targets, page)
            found += [spike] if spike else []
            print(f"{number + 1}/{wanted} {name}: {spike.total_s if spike else float('nan'):.3f} s")
    watch.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watch
    return found


async def _rested(live: Live, targets: watching.Targets, name: str) -> None:
    """Wait until one replica is asked for, and only one is there."""
    ends = time.monotonic() + RESTED_WITHIN_S
    label = f"farthing.dev/service={name}"
    while targets.total(name) != 1 or len(live.items("pods", NAMESPACE, "-l", label)) != 1:
        if time.monotonic() > ends:
            raise TimeoutError(f"{name} has not come back to one replica")
        await asyncio.sleep(0.5)


async def _spike(
    live: Live,
    session: aiohttp.ClientSession,
    url: str,
    name: str,
    targets: watching.Targets,
    page: str,
) -> Spike | None:
    before = await asyncio.to_thread(_reacted, page)
    written = len(live.plane.writes(cluster.ACCOUNT))
    began = time.time()
    sending = asyncio.create_task(
        load.send(
            session,
            load.Endpoint(service=name, url=url),
            cluster.burst(REQUESTS),
            began_s=asyncio.get_running_loop().time(),
            ended=lambda _: None,
        )
    )
    changed = await targets.above(name, 1, GIVEN_UP_AFTER_S)
    await sending
    if changed is None:
        return None
    after = before
    while after[1] == before[1]:  # counted once the whole tick has been applied
        after = await asyncio.to_thread(_reacted, page)
    write = next(
        one
        for one in live.plane.writes(cluster.ACCOUNT)[written:]
        if one["objectRef"]["resource"] == "deployments"
    )
    asked = datetime.fromisoformat(write["requestReceivedTimestamp"]).timestamp()
    done = datetime.fromisoformat(write["stageTimestamp"]).timestamp()
    # The operator takes its figure when the write has been answered.
    rests_on = done - (after[0] - before[0]) / (after[1] - before[1])
    return Spike(
        total_s=changed - began,
        seen_s=rests_on - began,
        decided_s=asked - rests_on,
        applied_s=done - asked,
    )


def _operator_address(live: Live) -> str:
    (pod,) = live.items("pods", cluster.SYSTEM)
    return f"{pod['status']['podIP']}:8081"


def _reacted(page: str) -> tuple[float, float]:
    """Sum and count of the operator's own measure of its delay."""
    with urllib.request.urlopen(page, timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    found = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    name = "farthing_signal_to_apply_seconds"
    return float(found[f"{name}_sum"]), float(found[f"{name}_count"])


if __name__ == "__main__":
    raise SystemExit(main())
