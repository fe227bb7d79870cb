"""Puts queries to Prometheus without ever waiting longer than was agreed.

The client library is synchronous, waits for ever by default and retries inside its call. Here it
runs in a thread, without retries or redirects, through a transport that gives up on an answer that
is too long or drips, and behind a breaker, so that an outage costs one short attempt per half
minute.
"""

from __future__ import annotations

import asyncio
import io
import time
import urllib.parse
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import prometheus_api_client
import prometheus_api_client.exceptions
import requests
import requests.adapters
import urllib3

from farthing.signals.clock import Clock
from farthing.signals.errors import UnusableAnswerError

MAXIMUM_ANSWER_BYTES = 64 * 1024 * 1024
FAILURES_UNTIL_OPEN = 3
OPEN_S = 30.0
_CHUNK_BYTES = 256 * 1024

Row = Mapping[str, Any]
"""One series of an answer, as Prometheus gives it: `metric` and `value`."""


class _BoundedTransport(requests.adapters.HTTPAdapter):
    """Reads the whole answer itself, with a limit in bytes and one in time for all of it."""

    def __init__(self) -> None:
        super().__init__(max_retries=0)
        self.deadline_s = 0.0

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: bool | str = True,
        cert: Any = None,
        proxies: Mapping[str, str] | None = None,
    ) -> requests.Response:
        response = super().send(request, True, timeout, verify, cert, dict(proxies or {}))
        body = self._read(response)
        response.raw = urllib3.HTTPResponse(
            body=io.BytesIO(body),
            headers=response.raw.headers,
            status=response.status_code,
            preload_content=False,
            decode_content=False,
        )
        return response

    def _read(self, response: requests.Response) -> bytes:
        chunks: list[bytes] = []
        size = 0
        try:
            while chunk := response.raw.read1(_CHUNK_BYTES, decode_content=False):
                chunks.append(chunk)
                size += len(chunk)
                if size > MAXIMUM_ANSWER_BYTES:
                    raise UnusableAnswerError(f"answer of more than {MAXIMUM_ANSWER_BYTES} bytes")
                if time.monotonic() > self.deadline_s:
                    raise UnusableAnswerError("answer did not end in time")
        finally:
            response.raw.close()
        return b"".join(chunks)


class PrometheusQueries:
    """Instant queries to one Prometheus; the URL belongs to the platform, never to a tenant."""

    def __init__(self, url: str, clock: Clock, *, deadline_s: float = 4.0) -> None:
        self._deadline_s = deadline_s
        self._clock = clock
        self._failures = 0
        self._open_until_s: float | None = None
        self._asking: asyncio.Future[list[list[Row]]] | None = None
        session = requests.Session()
        session.trust_env = False
        session.max_redirects = 0
        self._client = prometheus_api_client.PrometheusConnect(
            url=_checked_url(url),
            headers={"Accept-Encoding": "identity"},
            session=session,
            timeout=deadline_s,
        )
        self._transport = _BoundedTransport()
        session.mount(self._client.url, self._transport)

    async def ask(self, queries: Sequence[str], at: datetime) -> list[list[Row]]:
        """All answers as of one instant; raises UnusableAnswerError with the reason."""
        now_s = self._clock.monotonic()
        if self._open_until_s is not None and now_s < self._open_until_s:
            left_s = self._open_until_s - now_s
            raise UnusableAnswerError(f"failed {self._failures} times, next try in {left_s:.0f} s")
        if self._asking is not None and not self._asking.done():
            raise UnusableAnswerError("still waiting for an earlier answer")
        try:
            answers = await self._within_deadline(queries, at)
        except UnusableAnswerError:
            self._failures += 1
            if self._failures >= FAILURES_UNTIL_OPEN:
                self._open_until_s = self._clock.monotonic() + OPEN_S
            raise
        self._failures, self._open_until_s = 0, None
        return answers

    def close(self) -> None:
        self._client.close()

    async def _within_deadline(self, queries: Sequence[str], at: datetime) -> list[list[Row]]:
        self._asking = asyncio.ensure_future(asyncio.to_thread(self._ask_all, queries, at))
        self._asking.add_done_callback(_note_late_failure)
        try:
            # The thread cannot be interrupted; shielded, it is known to be busy until it ends.
            return await asyncio.wait_for(asyncio.shield(self._asking), self._deadline_s)
        except TimeoutError as error:
            raise UnusableAnswerError(f"no answer within {self._deadline_s:g} s") from error

    def _ask_all(self, queries: Sequence[str], at: datetime) -> list[list[Row]]:
        self._transport.deadline_s = time.monotonic() + self._deadline_s
        return [self._ask_one(query, at) for query in queries]

    def _ask_one(self, query: str, at: datetime) -> list[Row]:
        left_s = self._transport.deadline_s - time.monotonic()
        if left_s <= 0.0:
            raise UnusableAnswerError(f"no answer within {self._deadline_s:g} s")
        parameters = {"time": f"{at.timestamp():.3f}", "timeout": f"{left_s:.3f}"}
        try:
            rows = self._client.custom_query(query, params=parameters, timeout=left_s)
        except prometheus_api_client.exceptions.PrometheusApiClientException as error:
            raise UnusableAnswerError(_excerpt(str(error))) from error
        except (KeyError, TypeError, UnicodeDecodeError, requests.JSONDecodeError) as error:
            raise UnusableAnswerError("status 200 without a result") from error
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            text = f"{type(error).__name__}: {error}"
            raise UnusableAnswerError(_excerpt(text)) from error
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise UnusableAnswerError("status 200 with a result that is no vector")
        return rows


def _note_late_failure(future: asyncio.Future[list[list[Row]]]) -> None:
    """Takes the exception of an answer that nobody waits for any more."""
    if not future.cancelled():
        future.exception()


def _checked_url(url: str) -> str:
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
        raise ValueError(f"url is {url!r}; it must be http:// or https:// with a host and no user")
    return url.rstrip("/")


def _excerpt(text: str) -> str:
    """Short and without control characters: it ends in events and logs."""
    return ascii(text)[1:-1][:200]
