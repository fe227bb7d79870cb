"""A server process under real load: overload, drain, footprint."""

from __future__ import annotations

import asyncio
import dataclasses
import statistics
import time

import aiohttp
import pytest
from tests.serving import processes
from tests.serving.processes import Server, text_body

BODY = text_body(["one request"])


@dataclasses.dataclass(frozen=True)
class Answered:
    status: int
    retry_after: str | None
    text: str


async def ask(session: aiohttp.ClientSession, address: str) -> Answered:
    async with session.post(f"http://{address}/v2/models/emulated/infer", data=BODY) as reply:
        return Answered(reply.status, reply.headers.get("Retry-After"), await reply.text())


async def open_loop(address: str, rate_rps: float, duration_s: float) -> list[Answered]:
    """Requests at a fixed rate, whatever becomes of the earlier ones."""
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        started_s = time.monotonic()
        asked = []
        for number in range(int(rate_rps * duration_s)):
            await asyncio.sleep(max(0.0, started_s + number / rate_rps - time.monotonic()))
            asked.append(asyncio.create_task(ask(session, address)))
        return await asyncio.gather(*asked)


def logged_ms(server: Server, status: int) -> list[float]:
    """The server's own latencies, without what the client and the machine add."""
    server.join()
    return [line["latency_ms"] for line in server.logged if line["status"] == status]


async def test_three_times_too_many_requests_leave_the_answered_ones_in_time() -> None:
    profile = processes.line_profile(10, 10, 32)  # at most 97 requests/s, 92 within 250 ms
    with processes.emulated("--slo-milliseconds", "250", "--access-log", profile=profile) as server:
        server.ready()
        answered = await open_loop(server.address, rate_rps=280, duration_s=5)
        arrived = server.metric("farthing_requests_arrived_total")
        refused = server.metric("farthing_requests_refused_total")
        assert server.terminate() == 0
        answered_ms, refused_ms = logged_ms(server, 200), logged_ms(server, 503)
    assert {reply.status for reply in answered} == {200, 503}
    assert all(int(reply.retry_after or 0) >= 1 for reply in answered if reply.status == 503)
    assert all("overloaded: " in reply.text for reply in answered if reply.status == 503)
    assert arrived == len(answered) == len(answered_ms) + refused
    assert len(answered_ms) >= 0.75 * 92 * 5
    assert statistics.quantiles(answered_ms, n=100)[97] <= 275
    assert statistics.median(refused_ms) <= 5


async def test_a_drain_under_load_answers_everything_that_was_accepted() -> None:
    profile = processes.line_profile(150, 5, 8)
    with processes.emulated("--slo-milliseconds", "5000", profile=profile) as server:
        server.ready()
        address = server.address
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            asked = []
            for number in range(60):  # for 1.2 s, of which 0.6 s after the signal
                asked.append(asyncio.create_task(ask(session, address)))
                await asyncio.sleep(0.02)
                if number == 30:
                    server.process.terminate()
            unready = await asyncio.to_thread(server.get, "/v2/health/ready")
            answered = await asyncio.gather(*asked)
        assert unready.status == 503
        assert unready.headers["connection"] == "close"
        assert [reply.status for reply in answered] == [200] * 60
        assert await asyncio.to_thread(server.process.wait, 30) == 0
    assert server.event("stopped") == {"event": "stopped", "lost": 0}


async def test_after_the_drain_delay_new_requests_are_sent_elsewhere() -> None:
    profile = processes.line_profile(2500, 0, 1)
    with processes.emulated(
        "--slo-milliseconds", "9000", "--drain-delay-seconds", "0.2", profile=profile
    ) as server:
        server.ready()
        async with aiohttp.ClientSession() as session:
            accepted = asyncio.create_task(ask(session, server.address))
            await asyncio.to_thread(wait_for_metric, server, "farthing_requests_in_flight", 1)
            server.process.terminate()
            await asyncio.to_thread(server.event, "refusing")
            late = await ask(session, server.address)
            answered = await accepted
        assert (late.status, late.retry_after) == (503, "1")
        assert late.text == '{"error":"this replica is leaving; ask another one"}'
        assert answered.status == 200
        assert await asyncio.to_thread(server.process.wait, 30) == 0


def wait_for_metric(server: Server, name: str, value: float) -> None:
    ends_s = time.monotonic() + 20
    while server.metric(name) != value:
        assert time.monotonic() < ends_s, f"{name} did not become {value}"


async def test_a_drain_that_takes_too_long_ends_in_time_and_says_what_was_lost() -> None:
    profile = processes.line_profile(30_000, 0, 1)
    with processes.emulated(
        "--slo-milliseconds", "60000", "--drain-seconds", "1", profile=profile
    ) as server:
        server.ready()
        async with aiohttp.ClientSession() as session:
            accepted = asyncio.create_task(ask(session, server.address))
            await asyncio.to_thread(wait_for_metric, server, "farthing_requests_in_flight", 1)
            started_s = time.monotonic()
            assert await asyncio.to_thread(server.terminate) == 1
            assert time.monotonic() - started_s < 8
            outcome = (await asyncio.gather(accepted, return_exceptions=True))[0]
    assert isinstance(outcome, aiohttp.ClientError) or outcome.status == 500
    assert server.event("stopped") == {"event": "stopped", "lost": 1}


def test_the_emulated_server_is_small_and_ready_at_once() -> None:
    with processes.emulated() as server:
        startup_s = server.ready().event("ready")["startup_s"]
        memory_mib = server.memory_mib()
    assert sorted(startup_s) == ["load", "process", "warm_up"]
    assert sum(startup_s.values()) < 1.0
    assert memory_mib < 60


def test_the_start_up_time_of_the_profile_is_waited_before_it_is_ready() -> None:
    profile = {**processes.line_profile(5, 1, 8), "startupSeconds": 0.7}
    with processes.emulated(profile=profile) as server:
        server.event("listening")
        assert server.get("/v2/health/ready").status == 503
        assert server.get("/v2/health/live").status == 200
        assert server.ready().event("ready")["startup_s"]["load"] == pytest.approx(0.7, abs=0.25)
        assert server.get("/v2/health/ready").status == 200
