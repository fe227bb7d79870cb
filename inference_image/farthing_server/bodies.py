"""Request bodies, bounded in size, in time and in their sum."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from farthing_server.errors import RefusedError, RequestError

MAXIMUM_BODY_BYTES = 16 * 1024 * 1024
MAXIMUM_BYTES_BEING_READ = 256 * 1024 * 1024
MAXIMUM_BYTES_DISCARDED = 64 * 1024 * 1024
"""A body up to this size is read to its end and thrown away, so that the client sees the answer."""
READ_TIMEOUT_S = 30.0

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class Bodies:
    """Reads bodies; many large ones at once are refused rather than held in memory."""

    def __init__(self) -> None:
        self._bytes_being_read = 0

    async def read(self, headers: Mapping[bytes, bytes], receive: Receive) -> bytes:
        """The whole body. Raises RequestError: 408, 413, 415, or 499 when the client left."""
        encoding = headers.get(b"content-encoding", b"identity").strip().lower()
        if encoding not in (b"", b"identity"):
            raise RequestError(415, f"content-encoding {encoding[:40]!r}: only identity is read")
        declared = headers.get(b"content-length", b"")
        if declared.isdigit() and int(declared[:18]) > MAXIMUM_BODY_BYTES:
            raise too_large(close=int(declared[:18]) > MAXIMUM_BYTES_DISCARDED)
        message = await receive()
        if message["type"] == "http.request" and not message.get("more_body", False):
            body: bytes = message.get("body", b"")
            if len(body) > MAXIMUM_BODY_BYTES:
                raise too_large(close=False)
            return bytes(body)
        try:
            async with asyncio.timeout(READ_TIMEOUT_S):
                return await self._rest(message, receive)
        except TimeoutError:
            problem = f"the body did not arrive within {READ_TIMEOUT_S:.0f} s"
            raise RequestError(408, problem, close=True) from None

    async def _rest(self, message: MutableMapping[str, Any], receive: Receive) -> bytes:
        chunks: list[bytes] = []
        held = 0
        try:
            while True:
                if message["type"] == "http.disconnect":
                    raise RequestError(499, "the client left before its body was complete")
                chunk: bytes = message.get("body", b"")
                held += len(chunk)
                self._bytes_being_read += len(chunk)
                if held > MAXIMUM_BODY_BYTES:
                    raise too_large(close=True)
                if self._bytes_being_read > MAXIMUM_BYTES_BEING_READ:
                    raise RefusedError(
                        "queue_full", "too many large requests are being received", 1.0
                    )
                chunks.append(chunk)
                if not message.get("more_body", False):
                    return b"".join(chunks)
                message = await receive()
        finally:
            self._bytes_being_read -= held


def too_large(*, close: bool) -> RequestError:
    problem = f"the body is larger than {MAXIMUM_BODY_BYTES} bytes"
    return RequestError(413, problem, close=close)
