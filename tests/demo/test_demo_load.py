"""The load generator against a real server of ours."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator

import pytest
from benchmarks.demo import attainment, load
from benchmarks.demo.load import Outcome, Request
from tests.serving.processes import Server

# One request takes 20 ms, and a batch is one request: 50 a second and no more.
PROFILE = {"maximumBatchSize": 1, "batches": [{"size": 1, "milliseconds": "20"}]}


@pytest.fixture(scope="module")
def endpoint() -> Iterator[load.Endpoint]:
    arguments = ("--emulate", "--name", "chat", "--slo-milliseconds", "300")
    with Server(*arguments, "--profile", json.dumps(PROFILE)) as server:
        server.event("ready")
        address = f"127.0.0.1:{server.port}"
        yield load.Endpoint(service="chat", url=load.infer_url(address, "chat"))


async def sent(endpoint: load.Endpoint, arrivals_s: list[float]) -> list[Request]:
    ended: list[Request] = []
    began_s = asyncio.get_running_loop().time()
    async with load.client() as session:
        await load.send(session, endpoint, arrivals_s, began_s=began_s, ended=ended.append)
    return sorted(ended, key=lambda one: one.due_s)


async def test_every_request_is_sent_when_due_and_answered(endpoint: load.Endpoint) -> None:
    arrivals_s = [0.0, 0.1, 0.2, 0.3]

    requests = await sent(endpoint, arrivals_s)

    assert [(one.due_s, one.outcome, one.detail) for one in requests] == [
        (due_s, Outcome.ANSWERED, "") for due_s in arrivals_s
    ]
    assert all(0.02 <= one.latency_s < 0.3 for one in requests)


async def test_requests_come_whether_or_not_earlier_ones_are_answered(
    endpoint: load.Endpoint,
) -> None:
    # Ten at once, 20 ms each: the last waits for the nine before it, so 200 ms.
    requests = await sent(endpoint, [0.0] * 10)

    slowest_s = max(one.latency_s for one in requests)
    assert {one.outcome for one in requests} == {Outcome.ANSWERED}
    assert slowest_s >= 0.2


async def test_what_a_server_refuses_is_told_from_what_is_lost(endpoint: load.Endpoint) -> None:
    # 60 at once take 1.2 s, four times the objective: most are refused.
    requests = await sent(endpoint, [0.0] * 60)

    seen = attainment.attainment(requests, 300)
    assert (seen.sent, seen.lost) == (60, 0)
    assert seen.refused > 30
    assert seen.answered + seen.refused == 60


async def test_a_request_that_nobody_answers_is_lost() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        gone = load.Endpoint(service="chat", url=load.infer_url(address, "chat"))

        requests = await sent(gone, [0.0])

    assert [one.outcome for one in requests] == [Outcome.LOST]
    assert requests[0].detail.startswith("ClientConnectorError")


async def test_a_wrong_answer_is_lost_and_says_what_came_instead(
    endpoint: load.Endpoint,
) -> None:
    other = load.Endpoint(service="chat", url=endpoint.url.replace("chat", "other"))

    requests = await sent(other, [0.0])

    assert requests[0].outcome is Outcome.LOST
    assert requests[0].detail.startswith("404 ")


def ended(latency_ms: float, outcome: Outcome = Outcome.ANSWERED) -> Request:
    return Request(service="chat", due_s=0, latency_s=latency_ms / 1e3, outcome=outcome)


def test_what_is_refused_or_lost_counts_as_late() -> None:
    requests = [ended(100), ended(200), ended(700), ended(1, Outcome.REFUSED)]
    requests.append(ended(5, Outcome.LOST))

    seen = attainment.attainment(requests, 600)

    assert seen == attainment.Attainment(
        sent=5, answered=3, refused=1, lost=1, within_slo=2, p50_ms=200, p99_ms=700
    )
    assert seen.within_slo_fraction == 0.4


def test_without_requests_nothing_is_known() -> None:
    seen = attainment.attainment([], 600)

    assert (seen.within_slo_fraction, seen.p50_ms, seen.p99_ms) == (None, None, None)


def test_a_quantile_is_the_smallest_value_that_enough_others_do_not_exceed() -> None:
    assert attainment.quantile([float(n) for n in range(1, 101)], 0.99) == 99
    assert attainment.quantile([7.0], 0.5) == 7
