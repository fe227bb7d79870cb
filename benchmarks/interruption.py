"""A notice of 30 seconds under load: when a replacement is asked for, and what is lost.

    python -m benchmarks.interruption [--interruptions 20]

Services with two replicas each run on spot nodes that hold one replica; requests go on at a steady
rate. One node after another is given notice; the cluster takes it away 30 s later and brings a new
one. Asked for: from the notice to a higher replica count in the API server. Drained: the pod was
gone before its node was. Lost: a request that got neither an answer nor a refusal.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks import figures, watching
from benchmarks.demo import load
from tests.cluster import live as cluster
from tests.cluster.live import Document, Live

from farthing_local import inspection

NAMESPACE = "interruption"
POOL = "fickle"
SERVICES = [f"steady-{number}" for number in range(5)]
REPLICAS = 2
RATE_RPS = 8.0
NOTICE_S = 30.0
BETWEEN_S = 8.0
LIMIT_S = 2.0
# Deterministic, so that two runs take the same way as far as the cluster lets them.
SEED = 20261125


@dataclass(slots=True, kw_only=True)
class Interruption:
    """One notice and what followed; seconds from the notice."""

    service: str
    pod: str
    requested_s: float | None
    gone_s: float | None = None


@dataclass(slots=True)
class Pods:
    """Pods that are there, and when others went, by the API server's watch."""

    there: dict[str, Document] = field(default_factory=dict)
    gone_at: dict[str, float] = field(default_factory=dict)

    def see(self, kind: str, document: Document) -> None:
        name = document["metadata"]["name"]
        self.there[name] = document
        if kind == "DELETED":
            del self.there[name]
            self.gone_at[name] = time.time()

    def serving(self, service: str) -> list[Document]:
        return [
            pod
            for pod in self.there.values()
            if pod["metadata"]["labels"][watching.SERVICE] == service
            and "deletionTimestamp" not in pod["metadata"]
            and {"type": "Ready", "status": "True"}.items()
            <= next(
                (c for c in pod["status"].get("conditions", []) if c["type"] == "Ready"), {}
            ).items()
        ]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--interruptions", type=int, default=20, help="how many (default 20)")
    wanted = parser.parse_args(arguments).interruptions
    if not 1 <= wanted <= 1000:
        parser.error(f"--interruptions: {wanted} is not allowed; 1 to 1000")
    nodes = {
        "name": POOL,
        "capacityType": "Spot",
        "nodes": 16,
        "startupSeconds": 1,
        "node": {"cpu": "1", "memory": "1Gi"},
    }
    spot = cluster.pool(
        POOL, capacityType="Spot", interruption={"noticeSeconds": 30, "priorPerHour": "0.1"}
    )
    with cluster.installed([nodes], [spot]) as live:
        prepare(live)
        found, requests = asyncio.run(measure(live, wanted))
    return report(wanted, found, requests)


def prepare(live: Live) -> None:
    live.plane.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        cluster.profile(NAMESPACE),
    )
    spec: Document = {
        "scaling": {"minReplicas": REPLICAS, "maxReplicas": 4},
        "placement": {"poolSelector": {"matchLabels": {"farthing.dev/hardware": POOL}}},
    }
    live.plane.apply(*(cluster.service(NAMESPACE, name, **spec) for name in SERVICES))
    live.when_ready(NAMESPACE, *SERVICES, within_s=120)


async def measure(live: Live, wanted: int) -> tuple[list[Interruption], list[load.Request]]:
    targets, pods = watching.Targets(), Pods()
    requests: list[load.Request] = []
    paths = {
        f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments": targets.see,
        f"/api/v1/namespaces/{NAMESPACE}/pods": pods.see,
    }
    seconds = wanted * BETWEEN_S + 4 * NOTICE_S
    urls = {name: live.url(NAMESPACE, name) for name in SERVICES}
    async with load.client() as session:
        began_s = asyncio.get_running_loop().time()
        tasks = [
            *(
                asyncio.create_task(watching.follow(live.plane, path, see))
                for path, see in paths.items()
            ),
            *(
                asyncio.create_task(
                    load.send(
                        session,
                        load.Endpoint(service=name, url=url),
                        cluster.steady(RATE_RPS, seconds),
                        began_s=began_s,
                        ended=requests.append,
                    )
                )
                for name, url in urls.items()
            ),
        ]
        await asyncio.sleep(5)
        found = await _interrupt_all(live, wanted, targets, pods)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return found, requests


async def _interrupt_all(
    live: Live, wanted: int, targets: watching.Targets, pods: Pods
) -> list[Interruption]:
    chance = random.Random(SEED)
    found: list[Interruption] = []
    notices: list[tuple[Interruption, float]] = []
    for number in range(wanted):
        service = await _rested(SERVICES[number % len(SERVICES)], targets, pods)
        pod = chance.choice(sorted(pods.serving(service), key=lambda one: one["metadata"]["name"]))
        began = time.time()
        request = {
            "node": pod["spec"]["nodeName"],
            "noticeSeconds": NOTICE_S,
            "replaceAfterSeconds": 1,
        }
        await asyncio.to_thread(inspection.interrupt, live.plane.home, request)
        at = await targets.above(service, REPLICAS, 10)
        one = Interruption(
            service=service,
            pod=pod["metadata"]["name"],
            requested_s=None if at is None else at - began,
        )
        found.append(one)
        notices.append((one, began))
        print(f"{number + 1}/{wanted} {one.pod}: {one.requested_s} s", flush=True)
        await asyncio.sleep(max(0.0, began + BETWEEN_S - time.time()))
    await asyncio.sleep(NOTICE_S)
    for one, began in notices:
        gone = pods.gone_at.get(one.pod)
        one.gone_s = None if gone is None else gone - began
    return found


async def _rested(service: str, targets: watching.Targets, pods: Pods) -> str:
    """Wait until the last interruption of this service is over."""
    ends = time.monotonic() + 2 * NOTICE_S
    while targets.total(service) != REPLICAS or len(pods.serving(service)) != REPLICAS:
        if time.monotonic() > ends:
            raise TimeoutError(f"{service} has not come back to {REPLICAS} replicas")
        await asyncio.sleep(0.1)
    return service


def report(wanted: int, found: list[Interruption], requests: list[load.Request]) -> int:
    asked = [one.requested_s for one in found if one.requested_s is not None]
    drained = [one.gone_s for one in found if one.gone_s is not None and one.gone_s < NOTICE_S]
    lost = [one.detail for one in requests if one.outcome is load.Outcome.LOST]
    refused = sum(1 for one in requests if one.outcome is load.Outcome.REFUSED)
    rows = {"notice to replacement asked": asked, "notice to drained pod gone": drained}
    print(figures.table({name: values for name, values in rows.items() if values}))
    print(
        f"{len(found)} interruptions, {len(drained)} pods gone before their node; "
        f"{len(requests)} requests: {refused} refused, {len(lost)} lost"
    )
    for detail, count in sorted((detail, lost.count(detail)) for detail in set(lost)):
        print(f"  lost {count}: {detail}")
    result = {
        "interruptions": len(found),
        "noticeSeconds": NOTICE_S,
        "seconds": {name: figures.summary(values) for name, values in rows.items() if values},
        "drained": len(drained),
        "requests": {"sent": len(requests), "refused": refused, "lost": len(lost)},
    }
    print(figures.write("interruption", result))
    kept = len(asked) == wanted == len(drained) and not lost
    return 0 if kept and figures.quantile(asked, 0.99) <= LIMIT_S else 1


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        raise SystemExit(main())
