"""Small real servers that answer as replicas do, well or badly, each on an address of its own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

from aiohttp import web

from farthing.signals.clock import SystemClock
from farthing.signals.direct import DirectScraper


class ShiftedClock(SystemClock):
    """The machine's clocks, which a test moves ahead instead of waiting."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead_s


class StandIn:
    """Answers every path with `body`, or not at all while `hangs`."""

    def __init__(self, body: bytes = b"") -> None:
        self.body = body
        self.status = 200
        self.headers: dict[str, str] = {}
        self.hangs = False
        self.requests = 0
        self.paths: set[str] = set()
        self.clients: set[tuple[str, int]] = set()
        self.handling = 0
        self.most_at_once = 0
        self.port = 0
        self._asked = asyncio.Condition()
        self._server: asyncio.Server | None = None
        self._web = web.Server(self._answer, access_log=None, handler_cancellation=True)

    async def start(self, addresses: Sequence[str], port: int = 0) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._web, list(addresses), port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._web.shutdown(0.1)
            await self._server.wait_closed()
            self._server = None

    async def asked(self, times: int) -> None:
        """Returns when so many more requests came; all but the last of them were read by then."""
        until = self.requests + times
        async with asyncio.timeout(20.0), self._asked:
            await self._asked.wait_for(lambda: self.requests >= until)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self.handling += 1
        self.most_at_once = max(self.most_at_once, self.handling)
        try:
            self.paths.add(request.path)
            if request.transport is not None:
                self.clients.add(request.transport.get_extra_info("peername"))
            async with self._asked:
                self.requests += 1
                self._asked.notify_all()
            if self.hangs:
                await asyncio.Event().wait()
            return web.Response(body=self.body, status=self.status, headers=self.headers)
        finally:
            self.handling -= 1


@contextlib.asynccontextmanager
async def serving(*stand_ins: tuple[StandIn, str], port: int = 0) -> AsyncIterator[int]:
    """All of them on one port, as replicas of one runtime are; gives the port."""
    try:
        for stand_in, address in stand_ins:
            await stand_in.start([address], port)
            port = stand_in.port
        yield port
    finally:
        for stand_in, _ in stand_ins:
            await stand_in.stop()


@contextlib.asynccontextmanager
async def running(scraper: DirectScraper) -> AsyncIterator[None]:
    """The scraper at work; its faults are the test's faults."""
    stop = asyncio.Event()
    task = asyncio.create_task(scraper.run(stop))
    try:
        yield
    finally:
        stop.set()
        await task
