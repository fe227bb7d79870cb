"""Passing TCP connections on, as kube-proxy would: one ready pod per connection, at random."""

from __future__ import annotations

import asyncio
import functools
import random
from collections.abc import Callable, Sequence
from typing import TypeAlias, cast

Backend: TypeAlias = tuple[str, int]
_CONNECT_S = 2.0


class _Side(asyncio.Protocol):
    """One end of a passed-on connection; what it reads is written to the other end."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.other: _Side | None = None
        self.ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.write(data)

    def eof_received(self) -> bool:
        """Pass the half-close on; the other direction may still have something to say."""
        self.ended = True
        other = self.other
        if other is None or other.transport is None or other.ended:
            return False
        if other.transport.can_write_eof() and not other.transport.is_closing():
            other.transport.write_eof()
        return True

    def connection_lost(self, error: Exception | None) -> None:
        if self.other is not None and self.other.transport is not None:
            if error is None:
                self.other.transport.close()
            else:
                self.other.transport.abort()
        self.other = None

    def pause_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.resume_reading()


class _Client(_Side):
    """The end towards whoever connected; what it sends before a pod is found waits here."""

    def __init__(self, backends: Callable[[], Sequence[Backend]]) -> None:
        super().__init__()
        self._backends = backends
        self._search: asyncio.Task[None] | None = None
        self._early: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._search = asyncio.create_task(self._connect())

    def data_received(self, data: bytes) -> None:
        if self.other is not None:
            super().data_received(data)
            return
        # Reading is paused here and not in connection_made, where uvloop has yet to begin it.
        self._early.append(data)
        if self.transport is not None:
            self.transport.pause_reading()

    def eof_received(self) -> bool:
        if self.other is None:
            self.ended = True
            return True
        return super().eof_received()

    def connection_lost(self, error: Exception | None) -> None:
        if self._search is not None:
            self._search.cancel()
        super().connection_lost(error)

    async def _connect(self) -> None:
        candidates = list(self._backends())
        random.shuffle(candidates)
        for address, port in candidates:
            pod = _Side()
            pod.other = self
            try:
                async with asyncio.timeout(_CONNECT_S):
                    await asyncio.get_running_loop().create_connection(
                        functools.partial(_same, pod), address, port
                    )
            except OSError:
                # Refused, or silent: another pod may take it. (A timeout is an OSError, too.)
                continue
            self._join(pod)
            return
        if self.transport is not None:
            self.transport.abort()

    def _join(self, pod: _Side) -> None:
        self.other = pod
        if self.transport is None or self.transport.is_closing() or pod.transport is None:
            super().connection_lost(None)
            return
        pod.transport.writelines(self._early)
        self._early = []
        if self.ended:
            pod.transport.write_eof()
        self.transport.resume_reading()


def _same(side: _Side) -> _Side:
    return side


async def listen(
    address: str, port: int, backends: Callable[[], Sequence[Backend]]
) -> asyncio.Server:
    """Accept connections and pass each on to one of the backends of that moment."""
    return await asyncio.get_running_loop().create_server(
        lambda: _Client(backends), address, port, backlog=1024
    )
