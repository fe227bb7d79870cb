"""The rate within the SLO that the operator learns, against the one that a load test finds.

    python -m benchmarks.learned_rate [--seconds 60]

One service without a profile has a replica for each rate of the test, and each replica is asked
directly, with Poisson arrivals. The measured rate is where one request in a hundred is late or
refused; between two rates of the test it is interpolated.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import random
from collections.abc import Mapping, Sequence

from benchmarks import figures
from benchmarks.demo import load
from tests.cluster import live as cluster
from tests.cluster.live import Live

NAMESPACE = "learning"
NAME = "learner"
RATES_RPS = (14.0, 16.0, 18.0, 20.0, 22.0)
SLO_S = 1.0
MISSED_FRACTION = 0.01
LIMIT_FRACTION = 0.15
SEED = 20261125


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seconds", type=int, default=60, help="length of the test (default 60)")
    seconds = parser.parse_args(arguments).seconds
    if not 30 <= seconds <= 3600:
        parser.error(f"--seconds: {seconds} is not allowed; 30 to 3600")
    with cluster.installed() as live:
        urls = prepare(live)
        missed = asyncio.run(measure(urls, seconds))
        (profile,) = live.service(NAMESPACE, NAME)["status"]["profiles"]
    measured_rps = crossing(missed)
    learned_rps = float(profile["requestsPerSecondWithinSLO"])
    for rate, fraction in missed.items():
        print(f"{rate:5.1f} requests/s: {fraction:6.2%} late or refused")
    off = learned_rps / measured_rps - 1
    print(f"learned {learned_rps:.2f}, measured {measured_rps:.2f} requests/s: {off:+.1%}")
    result = {
        "learnedRps": learned_rps,
        "measuredRps": round(measured_rps, 2),
        "provenance": profile["provenance"],
        "missedFractionByRps": {str(rate): round(one, 4) for rate, one in missed.items()},
    }
    print(figures.write("learned-rate", result))
    return 0 if abs(off) <= LIMIT_FRACTION and profile["provenance"] == "Learned" else 1


def prepare(live: Live) -> dict[float, str]:
    """Where each rate is sent: a replica of its own."""
    count = len(RATES_RPS)
    given = cluster.service(
        NAMESPACE,
        NAME,
        model={"uri": "image:///models/never-measured"},
        runtimeRef={"name": "unmeasured"},
        scaling={"minReplicas": count, "maxReplicas": count},
    )
    live.plane.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        cluster.unmeasured_runtime(live),
        given,
    )
    live.when_ready(NAMESPACE, NAME, within_s=120)
    addresses = [f"{pod['status']['podIP']}:8080" for pod in live.items("pods", NAMESPACE)]
    pairs = zip(RATES_RPS, addresses, strict=True)
    return {rate: load.infer_url(address, NAME) for rate, address in pairs}


async def measure(urls: Mapping[float, str], seconds: float) -> dict[float, float]:
    """The fraction of requests that were late or refused, by rate."""
    chance = random.Random(SEED)
    ended: dict[float, list[load.Request]] = {rate: [] for rate in urls}
    async with load.client() as session, asyncio.TaskGroup() as tests:
        began_s = asyncio.get_running_loop().time()
        for rate, url in urls.items():
            gaps = (chance.expovariate(rate) for _ in range(int(rate * seconds)))
            endpoint = load.Endpoint(service=NAME, url=url)
            arrivals = list(itertools.accumulate(gaps))
            sent = load.send(session, endpoint, arrivals, began_s=began_s, ended=ended[rate].append)
            tests.create_task(sent)
    return {rate: missed_fraction(requests) for rate, requests in ended.items()}


def missed_fraction(requests: Sequence[load.Request]) -> float:
    kept = [one for one in requests if one.outcome is load.Outcome.ANSWERED]
    return 1 - sum(one.latency_s <= SLO_S for one in kept) / len(requests)


def crossing(missed: Mapping[float, float]) -> float:
    """The rate at which what is missed passes its limit; the last or the first one at the ends."""
    for (low, below), (high, above) in itertools.pairwise(sorted(missed.items())):
        if below <= MISSED_FRACTION < above:
            return low + (high - low) * (MISSED_FRACTION - below) / (above - below)
    return max(missed) if missed[max(missed)] <= MISSED_FRACTION else min(missed)


if __name__ == "__main__":
    raise SystemExit(main())
