"""One JSON line per inference: what was asked and how it ended, never what was in it."""

from __future__ import annotations

import datetime
from typing import TextIO

import orjson


class AccessLog:
    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(
        self, *, path: str, status: int, items: int, latency_s: float, bytes_out: int
    ) -> None:
        line = {
            "time": datetime.datetime.now(datetime.UTC),
            "path": path,
            "status": status,
            "items": items,
            "latency_ms": round(latency_s * 1e3, 3),
            "bytes_out": bytes_out,
        }
        self._stream.write(orjson.dumps(line).decode() + "\n")
        self._stream.flush()
