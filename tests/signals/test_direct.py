"""The scraper against real servers that answer, hang, restart, lie, die and come back."""

from __future__ import annotations

import asyncio
import gzip

import pytest
from tests.signals import pages
from tests.signals.stand_ins import ShiftedClock, StandIn, running, serving

from farthing.core.domain import Gap, LoadReading, VariantName, WorkloadId
from farthing.signals.direct import CONCURRENT_SCRAPES, DirectScraper, ScrapeTarget
from farthing.signals.exposition import MAXIMUM_PAGE_BYTES

SUBJECT = str(pages.WORKLOAD)
SILENCE_S = 5.5


def target(
    address: str,
    port: int,
    *,
    replica: str = "a",
    ready: bool = True,
    workload: WorkloadId = pages.WORKLOAD,
) -> ScrapeTarget:
    return ScrapeTarget(
        workload=workload,
        replica=replica,
        variant=VariantName("fast"),
        hardware="a100",
        address=address,
        names=pages.names(port),
        ready=ready,
    )


def read(
    scraper: DirectScraper, clock: ShiftedClock
) -> tuple[dict[str, LoadReading], dict[str, str]]:
    """The readings by workload, and the reasons of gaps by what is missing."""
    readings, gaps = scraper.readings(clock.now())
    return {str(r.workload): r for r in readings}, {g.missing: g.because for g in gaps}


async def all_asked(*servers: StandIn) -> None:
    """Each was read at least once more, with what it says now."""
    await asyncio.gather(*(server.asked(2) for server in servers))


async def silent_for(
    clock: ShiftedClock, scraper: DirectScraper, *others: StandIn
) -> tuple[dict[str, LoadReading], dict[str, str]]:
    """What is read after a silence of all but the others."""
    clock.ahead_s += SILENCE_S
    await all_asked(*others)
    return read(scraper, clock)


async def test_replicas_that_answer_make_one_reading_over_kept_connections() -> None:
    clock, first, second = ShiftedClock(), StandIn(pages.page(10)), StandIn(pages.page(1))
    scraper = DirectScraper(clock)
    async with serving((first, "127.77.0.1"), (second, "127.77.0.2")) as port, running(scraper):
        scraper.set_targets([target("127.77.0.1", port), target("127.77.0.2", port, replica="b")])
        await all_asked(first, second)
        first.body, second.body = pages.page(15, queued=2), pages.page(3, in_flight=1)
        await all_asked(first, second)
        readings, gaps = read(scraper, clock)
    reading = readings[SUBJECT]
    assert gaps == {}
    assert (reading.queued, reading.in_flight, reading.answered_total) == (2.0, 1.0, 7.0)
    assert 0.0 <= (clock.now() - reading.ends_at).total_seconds() < 3.0
    assert (len(first.clients), len(second.clients)) == (1, 1)
    assert first.paths == {"/metrics"}


async def test_a_replica_that_hangs_is_a_gap_and_the_other_is_read_on() -> None:
    clock, good, bad = ShiftedClock(), StandIn(pages.page(10)), StandIn(pages.page(1))
    scraper = DirectScraper(clock)
    async with serving((good, "127.77.0.1"), (bad, "127.77.0.2")) as port, running(scraper):
        scraper.set_targets([target("127.77.0.1", port), target("127.77.0.2", port, replica="b")])
        bad.hangs = True
        await bad.asked(2)
        readings, gaps = await silent_for(clock, scraper, good)
        assert gaps == {"metrics of pod b": "no answer within 0.8 s"}
        assert (clock.now() - readings[SUBJECT].ends_at).total_seconds() < 3.0
        bad.hangs = False
        await bad.asked(2)
        assert read(scraper, clock)[1] == {}


async def test_a_replica_that_dies_is_a_gap_until_it_is_back_and_its_restart_adds_up() -> None:
    clock, server = ShiftedClock(), StandIn(pages.page(10))
    scraper = DirectScraper(clock)
    async with serving((server, "127.77.0.1")) as port, running(scraper):
        scraper.set_targets([target("127.77.0.1", port)])
        await server.asked(2)
        server.body = pages.page(15)
        await server.asked(2)
        await server.stop()
        clock.ahead_s += SILENCE_S
        readings, gaps = read(scraper, clock)
        assert (readings, list(gaps)) == ({}, ["metrics"])
        server.body = pages.page(4)
        await server.start(["127.77.0.1"], port)
        await server.asked(2)
        readings, gaps = read(scraper, clock)
        assert gaps == {}
        assert readings[SUBJECT].answered_total == 9.0


PROBLEMS = [
    (pages.page("NaN"), 200, {}, "farthing_requests_completed_total is nan; allowed is 0 to "),
    (pages.page(3, queued=-1), 200, {}, "farthing_requests_queued is -1.0; allowed is 0 to "),
    (pages.page(12, queued="+Inf"), 200, {}, "farthing_requests_queued is inf; allowed is 0 to"),
    (pages.page(50, completed=9), 200, {}, "completed went backward without a restart"),
    (b"", 200, {}, "no series farthing_requests_completed_total on the page"),
    (b"", 503, {}, "answered with status 503"),
    (b"", 302, {"Location": "http://127.77.0.1/secret"}, "answered with status 302"),
    (b"#" * (MAXIMUM_PAGE_BYTES + 1), 200, {}, "page of more than 4194304 bytes"),
    (gzip.compress(pages.page(50)), 200, {"Content-Encoding": "gzip"}, "page is not UTF-8 at by"),
]


async def test_pages_that_cannot_be_trusted_are_gaps_with_their_reason_and_never_zero() -> None:
    clock = ShiftedClock()
    scraper = DirectScraper(clock)
    servers = [(StandIn(pages.page(10)), f"127.77.2.{i + 1}") for i in range(len(PROBLEMS))]
    workloads = [WorkloadId(namespace="n", name=f"w{i}") for i in range(len(PROBLEMS))]
    async with serving(*servers) as port, running(scraper):
        scraper.set_targets(
            target(address, port, workload=workload)
            for (_, address), workload in zip(servers, workloads, strict=True)
        )
        await all_asked(*(server for server, _ in servers))
        for (server, _), (body, status, headers, _) in zip(servers, PROBLEMS, strict=True):
            server.body, server.status, server.headers = body, status, headers
        await all_asked(*(server for server, _ in servers))
        clock.ahead_s += SILENCE_S
        readings, gaps = scraper.readings(clock.now())
    assert readings == ()
    assert [(gap.subject, gap.missing) for gap in gaps] == [(str(w), "metrics") for w in workloads]
    for gap, (_, _, _, because) in zip(gaps, PROBLEMS, strict=True):
        assert gap.because.startswith(because)
    assert {path for server, _ in servers for path in server.paths} == {"/metrics"}


async def test_a_workload_without_a_ready_replica_is_a_gap() -> None:
    clock = ShiftedClock()
    scraper = DirectScraper(clock)
    other = WorkloadId(namespace="search", name="rank")
    scraper.set_targets([target("127.77.0.1", 9, ready=False)], [pages.WORKLOAD, other])
    readings, gaps = scraper.readings(clock.now())
    assert readings == ()
    assert [(gap.subject, gap.missing, gap.because) for gap in gaps] == [
        ("search/embed", "metrics", "no ready replica"),
        ("search/rank", "metrics", "no ready replica"),
    ]


async def test_workloads_do_not_see_each_other_whatever_labels_their_pages_carry() -> None:
    clock = ShiftedClock()
    other = WorkloadId(namespace="other", name="rank")
    liar = StandIn(pages.page(0).replace(b"_total 0", b'_total{namespace="search"} 0'))
    honest = StandIn(pages.page(0))
    scraper = DirectScraper(clock)
    async with serving((honest, "127.77.0.1"), (liar, "127.77.0.2")) as port, running(scraper):
        scraper.set_targets(
            [target("127.77.0.1", port), target("127.77.0.2", port, workload=other)]
        )
        await liar.asked(2)
        liar.body = liar.body.replace(b"} 0", b"} 1000")
        await all_asked(liar, honest)
        readings, _ = read(scraper, clock)
    assert readings[SUBJECT].answered_total == 0.0
    assert sum(readings[SUBJECT].arrivals) == 0.0


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, server, proxy = ShiftedClock(), StandIn(pages.page(10)), StandIn()
    scraper = DirectScraper(clock)
    async with serving((server, "127.77.0.1"), (proxy, "127.77.0.2")) as port:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.77.0.2:{port}")
        async with running(scraper):
            scraper.set_targets([target("127.77.0.1", port)])
            await server.asked(2)
    assert proxy.requests == 0


async def test_replicas_that_hang_neither_delay_the_others_nor_pile_up() -> None:
    clock, good, bad = ShiftedClock(), StandIn(pages.page(10)), StandIn()
    bad.hangs = True
    scraper = DirectScraper(clock)
    dead = [f"127.77.1.{last}" for last in range(1, 201)]
    async with serving((good, "127.77.0.1")) as port:
        await bad.start(dead, port)
        hanging = [
            target(address, port, replica=address, workload=pages.WORKLOAD) for address in dead
        ]
        try:
            async with running(scraper):
                scraper.set_targets([*hanging, target("127.77.0.1", port)])
                await bad.asked(230)
                before = good.requests
                started_s = clock.monotonic()
                await good.asked(4)
                took_s = clock.monotonic() - started_s
        finally:
            await bad.stop()
    assert before >= 1
    assert took_s < 6.0
    assert bad.most_at_once <= CONCURRENT_SCRAPES


async def test_it_stops_at_once_and_can_run_again() -> None:
    clock, server = ShiftedClock(), StandIn(pages.page(10))
    scraper = DirectScraper(clock)
    async with serving((server, "127.77.0.1")) as port:
        scraper.set_targets([target("127.77.0.1", port)])
        server.hangs = True
        async with running(scraper):
            await server.asked(1)
            stopping_s = clock.monotonic()
        assert clock.monotonic() - stopping_s < 0.5
        server.hangs = False
        async with running(scraper):
            await server.asked(4)
        assert read(scraper, clock)[1] == {}


def test_a_target_must_have_an_ip_address() -> None:
    with pytest.raises(ValueError) as caught:
        target("metadata.internal", 80)
    assert str(caught.value) == ("address of a is 'metadata.internal'; it must be an IP address")


def test_a_workload_that_is_no_longer_named_is_forgotten() -> None:
    clock = ShiftedClock()
    scraper = DirectScraper(clock)
    scraper.set_targets([target("127.77.0.1", 9, ready=False)])
    assert scraper.readings(clock.now())[1] != ()
    scraper.set_targets([])
    no_gaps: tuple[Gap, ...] = ()
    assert scraper.readings(clock.now()) == ((), no_gaps)
