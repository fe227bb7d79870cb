"""Stands between the operator and the metrics of replicas, and can be shut.

A runtime whose metrics are on another port than its answers is asked here. Each replica has a
loopback address of its own, so the gate listens on all of them and passes on to the same address.
While it is shut it takes connections and says nothing, as a machine behind a broken link does;
what is served stays as it is.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from typing import Self

PORT = 9109
SERVED_ON = 8080


class Gate:
    """Runs in a thread of its own; may be told what to do from any other."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._servers: dict[str, asyncio.Server] = {}
        self._writers: set[asyncio.StreamWriter] = set()
        self._shut = False

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def listen(self, address: str) -> None:
        """Also pass on what is asked of this address."""
        asyncio.run_coroutine_threadsafe(self._listen(address), self._loop).result(10)

    @contextlib.contextmanager
    def shut(self) -> Iterator[None]:
        """Let nothing through while the block runs."""
        self._shut = True
        self._loop.call_soon_threadsafe(self._drop)
        try:
            yield
        finally:
            self._shut = False
            self._loop.call_soon_threadsafe(self._drop)

    async def _listen(self, address: str) -> None:
        if address not in self._servers:
            self._servers[address] = await asyncio.start_server(self._accept, address, PORT)

    async def _end(self) -> None:
        for server in self._servers.values():
            server.close()
        self._drop()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def _drop(self) -> None:
        for writer in self._writers:
            writer.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        address = writer.get_extra_info("sockname")[0]
        self._writers.add(writer)
        try:
            if self._shut:
                await reader.read()  # until whoever asks gives up
                return
            with contextlib.suppress(OSError):
                await self._pass_on(address, reader, writer)
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _pass_on(
        self, address: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        served_reader, served_writer = await asyncio.open_connection(address, SERVED_ON)
        self._writers.add(served_writer)
        try:
            both = (_copy(reader, served_writer), _copy(served_reader, writer))
            await asyncio.gather(*both)
        finally:
            self._writers.discard(served_writer)
            served_writer.close()


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while chunk := await source.read(65_536):
            target.write(chunk)
            await target.drain()
    target.close()
