"""Both sources against a real serving process under requests, and a real Prometheus."""

from __future__ import annotations

import asyncio
import json
import pathlib
import time
from collections.abc import Callable, Iterator, Sequence

import aiohttp
import pytest
from tests.serving import processes
from tests.signals import pages
from tests.signals.stand_ins import running

from farthing.core.domain import LoadReading, VariantName, WorkloadId
from farthing.signals.clock import SystemClock
from farthing.signals.direct import DirectScraper, ScrapeTarget
from farthing.signals.prometheus import Asked, PrometheusSource
from farthing.signals.prometheus_queries import PrometheusQueries
from farthing.signals.promql import SeriesLabels
from farthing.signals.roles import MetricNames
from farthing_local import build, prometheus, recipes

RATE_RPS = 20
VLLM_WORKLOAD = WorkloadId(namespace="search", name="generate")


def vllm_names(port: int) -> MetricNames:
    return MetricNames(
        path="/metrics",
        port=port,
        completed="vllm:request_success_total",
        queued="vllm:num_requests_waiting",
        in_flight="vllm:num_requests_running",
        latency="vllm:e2e_request_latency_seconds",
    )


@pytest.fixture
def server() -> Iterator[processes.Server]:
    profile = processes.line_profile(5.0, 1.0, 8)
    with processes.emulated("--metrics-style", "vllm", profile=profile) as started:
        started.ready()
        yield started


def targets(port: int) -> list[ScrapeTarget]:
    """The same process, read once by our names and once by those of another runtime."""
    return [
        ScrapeTarget(
            workload=workload,
            replica="only",
            variant=VariantName("fast"),
            hardware="cpu",
            address="127.0.0.1",
            names=names,
            ready=True,
        )
        for workload, names in (
            (pages.WORKLOAD, pages.names(port)),
            (VLLM_WORKLOAD, vllm_names(port)),
        )
    ]


async def send(address: str, count: int) -> None:
    """So many requests at an even rate, each of which is answered."""
    body = processes.text_body(["one"])
    path = "/v2/models/emulated/infer"
    async with aiohttp.ClientSession(f"http://{address}") as session:
        started_s = time.monotonic()
        for number in range(count):
            await asyncio.sleep(max(0.0, started_s + number / RATE_RPS - time.monotonic()))
            headers = {"Content-Type": "application/json"}
            async with session.post(path, data=body, headers=headers) as response:
                answer = await response.read()
                assert response.status == 200, answer


async def read_when(
    scraper: DirectScraper, holds: Callable[[LoadReading], bool] = lambda _: True
) -> Sequence[LoadReading]:
    """The readings of both workloads once there are no gaps and this holds for each."""
    async with asyncio.timeout(10.0):
        while True:
            readings, gaps = scraper.readings(SystemClock().now())
            if gaps == () and all(holds(reading) for reading in readings):
                return readings
            await asyncio.sleep(0.05)


async def test_a_real_server_is_read_by_its_own_names_and_by_those_of_another_runtime(
    server: processes.Server,
) -> None:
    scraper = DirectScraper(SystemClock())
    async with running(scraper):
        scraper.set_targets(targets(server.port))
        await read_when(scraper)
        await send(server.address, 3 * RATE_RPS)
        embed, generate = await read_when(scraper, lambda r: r.answered_total == 3 * RATE_RPS)
    assert (embed.workload, generate.workload) == (pages.WORKLOAD, VLLM_WORKLOAD)
    for reading in (embed, generate):
        assert reading.latency is not None
        assert sum(reading.latency.counts) == 3 * RATE_RPS
        assert sum(reading.arrivals) == pytest.approx(3 * RATE_RPS, abs=1e-6)
    assert generate.batches == ()
    ((_, _, (batch, *_)),) = embed.batches
    assert batch.size == 1
    assert 0.006 <= batch.seconds / batch.batches <= 0.030


@pytest.mark.cluster
@pytest.mark.slow
async def test_a_real_prometheus_tells_the_same_load_as_the_replicas(
    server: processes.Server, tmp_path: pathlib.Path
) -> None:
    build.program(recipes.PROMETHEUS, "prometheus")
    found = tmp_path / "targets.json"
    labels = {"namespace": "search", "farthing_dev_service": "embed"}
    found.write_text(json.dumps([{"targets": [server.address], "labels": labels}]))
    clock, scraper = SystemClock(), DirectScraper(SystemClock())
    with prometheus.running(tmp_path / "prometheus", targets_file=found) as real:
        queries = PrometheusQueries(real.url, clock)
        source = PrometheusSource(queries, SeriesLabels(), window_s=6)
        asked = [Asked(workload=pages.WORKLOAD, names=pages.names(), ready_replicas=1)]
        async with running(scraper):
            scraper.set_targets(targets(server.port))
            await read_when(scraper)
            await send(server.address, 10 * RATE_RPS)
            direct, _ = scraper.readings(clock.now())[0]
            readings, gaps = await source.read(asked, clock.now())
        queries.close()
    assert gaps == ()
    (reading,) = readings
    assert (reading.source, len(reading.arrivals)) == ("prometheus", 12)
    assert sum(reading.arrivals[-6:]) / 6 == pytest.approx(RATE_RPS, rel=0.25)
    assert sum(direct.arrivals[-6:]) / 6 == pytest.approx(RATE_RPS, rel=0.25)
    assert (clock.now() - reading.ends_at).total_seconds() < 5.0
    assert reading.latency is not None
    assert direct.latency is not None
    assert set(reading.latency.bounds_s) == set(direct.latency.bounds_s)
    assert sum(reading.latency.counts) == pytest.approx(6 * RATE_RPS, rel=0.25)
