"""What it costs to read replicas: CPU per page through the scraper, and the parts of it.

Serves a page of 4 KB from a process of its own, so that only the reading side is counted.

    python benchmarks/scrape_cost.py [--replicas 100] [--seconds 10] [--no-uvloop]
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import multiprocessing.connection
import time
import tracemalloc
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import cast

import prometheus_client.parser
import uvloop

from farthing.core.domain import VariantName, WorkloadId
from farthing.signals.clock import SystemClock
from farthing.signals.direct import DirectScraper, ScrapeTarget
from farthing.signals.exposition import parse_page
from farthing.signals.roles import MetricNames, read_sample
from farthing.signals.workload_view import WorkloadView
from farthing_server.metrics import Metrics

ADDRESSES = 250


def names(port: int) -> MetricNames:
    return MetricNames(
        path="/metrics",
        port=port,
        completed="farthing_requests_completed_total",
        queued="farthing_requests_queued",
        in_flight="farthing_requests_in_flight",
        latency="farthing_request_latency_seconds",
        arrived="farthing_requests_arrived_total",
        refused="farthing_requests_refused_total",
        batches="farthing_batches_total",
        batch_seconds="farthing_batch_seconds_total",
    )


def busy_pages() -> list[bytes]:
    """What our own server says second by second, after batches of sixteen sizes."""
    metrics = Metrics(model="embed", variant="fast", precision="Float32", vllm_names=False)
    pages: list[bytes] = []
    for number in range(10_000):
        metrics.arrived += 1
        metrics.answered(0.002 * (number % 300))
        metrics.batch_done(1 + number % 16, 0.0125)
        if number % 50 == 49:
            pages.append(metrics.render())
    return pages


class _Replica(asyncio.Protocol):
    """Answers whatever comes with the page of the second, as cheaply as it can be done."""

    def __init__(self, answers: Sequence[bytes]) -> None:
        self._answers = answers

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._transport.write(self._answers[int(time.monotonic()) % len(self._answers)])


def answer(body: bytes) -> bytes:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def serve(told: multiprocessing.connection.Connection) -> None:
    async def listen(answers: Sequence[bytes]) -> int:
        loop = asyncio.get_running_loop()
        hosts = [f"127.88.0.{last}" for last in range(1, ADDRESSES + 1)]
        first = await loop.create_server(lambda: _Replica(answers), hosts[0], 0)
        port = int(first.sockets[0].getsockname()[1])
        await loop.create_server(lambda: _Replica(answers), hosts[1:], port)
        return port

    async def forever() -> None:
        answers = [answer(body) for body in busy_pages()]
        told.send((await listen(answers), await listen(answers[-1:])))
        await asyncio.Event().wait()

    uvloop.run(forever())


async def scraping(kind: str, port: int, replicas: int, seconds: float) -> None:
    clock = SystemClock()
    scraper = DirectScraper(clock)
    scraper.set_targets(
        ScrapeTarget(
            workload=WorkloadId(namespace="n", name=f"w{number % 20}"),
            replica=f"r{number}",
            variant=VariantName("fast"),
            hardware="a100",
            address=f"127.88.0.{number % ADDRESSES + 1}",
            names=names(port),
            ready=True,
        )
        for number in range(replicas)
    )
    stop = asyncio.Event()
    running = asyncio.create_task(scraper.run(stop))
    await asyncio.sleep(3.0)
    before_s = time.process_time()
    await asyncio.sleep(seconds)
    used_s = time.process_time() - before_s
    scraped = replicas * seconds
    print(
        f"scraping {kind} replicas: {scraped:.0f} pages, {used_s / scraped * 1e6:.0f} us CPU each, "
        f"{used_s / seconds:.1%} of a core"
    )
    readings, gaps = scraper.readings(clock.now())
    assert (len(readings), gaps) == (20, ()), gaps
    stop.set()
    await running


def each_us(work: Callable[[], object], times: int) -> float:
    work()
    before_s = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - before_s) / times * 1e6


def remembering(body: bytes, replicas: int) -> None:
    """Two minutes of pages of many replicas, without the network: memory, and time to read."""
    sample = read_sample(names(1), body)
    view = WorkloadView(WorkloadId(namespace="n", name="w"), 0.0)
    hardware = (VariantName("fast"), "a100")
    tracemalloc.start()
    view.set_members({f"r{number}": (hardware, True) for number in range(replicas)}, 0.0)
    for second in range(1, 151):
        for member in view.members.values():
            view.accept(member, sample, float(second))
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    at = datetime.now(UTC)
    used_us = each_us(lambda: view.read(at, 150.5), 10) / replicas
    print(f"memory: {kept / replicas / 1024:.1f} KiB per replica with a full window")
    print(f"reading: {used_us:.0f} us CPU per replica with a full window")


def parsing(body: bytes) -> None:
    wanted = names(1)
    text = body.decode()
    official = prometheus_client.parser.text_string_to_metric_families
    print(f"page: {len(body)} bytes, {len(text.splitlines())} lines")
    print(f"parser: {each_us(lambda: parse_page(body, wanted.wanted), 2_000):.0f} us")
    print(f"parser and roles: {each_us(lambda: read_sample(wanted, body), 2_000):.0f} us")
    print(f"official parser: {each_us(lambda: list(official(text)), 100):.0f} us")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--replicas", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--no-uvloop", action="store_true")
    options = parser.parse_args()
    body = busy_pages()[-1]
    parsing(body)
    remembering(body, 200)
    here, there = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(there,))
    server.start()
    try:
        run = asyncio.run if options.no_uvloop else uvloop.run
        for kind, port in zip(("busy", "idle"), here.recv(), strict=True):
            run(scraping(kind, port, options.replicas, options.seconds))
    finally:
        server.terminate()
        server.join()


if __name__ == "__main__":
    main()
