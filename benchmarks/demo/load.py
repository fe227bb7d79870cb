"""Open-loop requests: they come when the scenario says, whether or not earlier ones are answered.

A request's time counts from the instant it was due, so that a slow server cannot hide behind a
waiting client. Each has a connection of its own, as from many separate clients: kube-proxy picks a
replica per connection, and a connection that is kept never meets a new replica.
"""

from __future__ import annotations

import asyncio
import enum
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import aiohttp

TIMEOUT_S = 10.0
# More than the burst keeps open within the timeout's reach in any sane run; a bound all the same.
MAXIMUM_CONNECTIONS = 512
_REFUSED_STATUS = 503
_SENTENCES = (
    "Where is my parcel?",
    "The invoice of last month has the wrong address.",
    "How do I return a pair of shoes that is too small?",
    "Thanks, that was quick and friendly.",
    "Please cancel my subscription at the end of the year.",
    "The app closes as soon as I open the settings.",
)


class Outcome(enum.StrEnum):
    """What became of a request. Refused was answered at once with 503; lost got no answer."""

    ANSWERED = "answered"
    REFUSED = "refused"
    LOST = "lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request that ended: when it was due, how long it took from then, what became of it."""

    service: str
    due_s: float
    latency_s: float
    outcome: Outcome
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where a service answers."""

    service: str
    url: str


def client() -> aiohttp.ClientSession:
    """One connection per request, none kept, no proxy of the environment."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=MAXIMUM_CONNECTIONS, force_close=True),
        timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
        trust_env=False,
    )


async def send(
    session: aiohttp.ClientSession,
    endpoint: Endpoint,
    arrivals_s: Sequence[float],
    *,
    began_s: float,
    ended: Callable[[Request], None],
) -> None:
    """Send every request when it is due, counted from `began_s` of the loop's clock; wait for all.

    `ended` hears of each request as soon as it is answered, refused or lost.
    """
    clock = asyncio.get_running_loop().time
    bodies = _bodies(endpoint.service)
    async with asyncio.TaskGroup() as requests:
        for due_s in arrivals_s:
            wait_s = began_s + due_s - clock()
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            body = next(bodies)
            requests.create_task(_request(session, endpoint, body, due_s, began_s, ended))


async def _request(
    session: aiohttp.ClientSession,
    endpoint: Endpoint,
    body: object,
    due_s: float,
    began_s: float,
    ended: Callable[[Request], None],
) -> None:
    outcome, detail = await _outcome(session, endpoint.url, body)
    latency_s = asyncio.get_running_loop().time() - began_s - due_s
    ended(
        Request(
            service=endpoint.service,
            due_s=due_s,
            latency_s=latency_s,
            outcome=outcome,
            detail=detail,
        )
    )


async def _outcome(session: aiohttp.ClientSession, url: str, body: object) -> tuple[Outcome, str]:
    try:
        async with session.post(url, json=body) as response:
            text = await response.text()
    except TimeoutError:
        return Outcome.LOST, f"no answer within {TIMEOUT_S:.0f} s"
    except aiohttp.ClientError as error:
        return Outcome.LOST, f"{type(error).__name__}: {error}"
    if response.status == 200:
        return Outcome.ANSWERED, ""
    outcome = Outcome.REFUSED if response.status == _REFUSED_STATUS else Outcome.LOST
    return outcome, f"{response.status} {text[:200]}"


def _bodies(service: str) -> Iterator[object]:
    """Inferences of the Open Inference Protocol, one sentence each, no two alike in a row."""
    for number, sentence in enumerate(itertools.cycle(_SENTENCES)):
        text = f"{sentence} ({service} {number})"
        yield {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [1], "data": [text]}]}


def infer_url(address: str, model: str) -> str:
    return f"http://{address}/v2/models/{model}/infer"
