"""Probes and metrics over HTTP.

Liveness asks only whether our own loop still turns: an API server that is away must not get the
operator killed. Readiness asks whether it could decide.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from farthing.kube.instruments import Instruments

_STUCK_S = 60.0
_RECENT_S = 15.0
# Bookmarks come every minute, and a dead watch is opened anew after 70 s of silence.
_SILENT_S = 180.0


@dataclass(slots=True, kw_only=True)
class Health:
    """What the probes are answered from."""

    is_synced: Callable[[], bool]
    silence_s: Callable[[], float]
    """How long the most silent watch has given no sign of life."""
    is_lease_known: Callable[[], bool]
    is_leading: Callable[[], bool]
    last_beat_at: float = field(default_factory=time.monotonic)
    last_tick_at: float | None = None

    def beat(self) -> None:
        """The loop came round."""
        self.last_beat_at = time.monotonic()

    def ticked(self) -> None:
        """A tick went through."""
        self.last_tick_at = time.monotonic()

    def live(self) -> str | None:
        """None while alive, else what is wrong."""
        age_s = time.monotonic() - self.last_beat_at
        return None if age_s < _STUCK_S else f"the loop has not come round for {age_s:.0f} s"

    def ready(self) -> str | None:
        """None while ready, else what is missing."""
        if not self.is_synced():
            return "the cluster is not mirrored yet"
        if self.silence_s() > _SILENT_S:
            return f"a watch has been silent for {self.silence_s():.0f} s"
        if not self.is_lease_known():
            return "the lease was not read yet"
        if self.is_leading():
            age_s = time.monotonic() - (self.last_tick_at or float("-inf"))
            if age_s > _RECENT_S:
                return "no tick went through lately"
        return None


async def serve(health: Health, instruments: Instruments, host: str, port: int) -> web.AppRunner:
    """Answer on this address until the runner is cleaned up."""

    def probe(check: Callable[[], str | None]) -> Callable[[web.Request], web.Response]:
        async def answer(_: web.Request) -> web.Response:
            problem = check()
            return web.Response(status=200 if problem is None else 503, text=problem or "ok")

        return answer  # type: ignore[return-value]

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=instruments.page(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.router.add_get("/livez", probe(health.live))  # type: ignore[arg-type]
    app.router.add_get("/readyz", probe(health.ready))  # type: ignore[arg-type]
    app.router.add_get("/metrics", metrics)
    runner = web.AppRunner(app, access_log=None, handle_signals=False)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    return runner
