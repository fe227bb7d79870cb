"""The process: listen, load, warm up, serve, drain.

The socket is open before the model is loaded, so that probes get an answer from the first moment:
alive, not ready. On SIGTERM readiness falls at once while requests are still taken for the drain
delay (endpoints change with a lag); then new ones are refused, what was accepted is finished, and
the exit code is 0, or 1 where the drain time was not enough.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pathlib
import signal
import socket
import sys
import time
from collections.abc import Iterator

import orjson
import uvicorn

from farthing_server import access_log, app, emulated, options
from farthing_server.batch_time import BatchTime, Line
from farthing_server.connections import ConnectionAges
from farthing_server.engine import Engine
from farthing_server.errors import OptionError
from farthing_server.metrics import Metrics
from farthing_server.model import Model
from farthing_server.scheduling import Limits, Scheduler

KEEP_ALIVE_S = 75
BACKLOG = 2048
UNKNOWN_BATCH_TIME = Line(fixed_s=0.001, per_item_s=0.001)
"""Replaced by the first batch of the warm-up."""


class _Uvicorn(uvicorn.Server):
    """uvicorn without its signal handling: it would end by the signal, we end with 0."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def log(event: str, **fields: object) -> None:
    """One JSON line on stderr."""
    sys.stderr.write(orjson.dumps({"event": event, **fields}).decode() + "\n")
    sys.stderr.flush()


def age_s() -> float:
    """How long ago this process started, imports included; 0 where the system does not tell."""
    try:
        ticks = float(pathlib.Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()[19])
    except OSError:
        return 0.0
    started_s = ticks / os.sysconf("SC_CLK_TCK")
    return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - started_s) if ticks else 0.0


def listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise OptionError(
            f"--host {host} --port {port}: cannot listen there: {error.strerror}"
        ) from None
    listener.set_inheritable(False)
    return listener


def build_model(chosen: options.Options) -> Model:
    """The model, its files checked but not loaded. Raises ModelError."""
    if chosen.model is None:
        return emulated.EmulatedModel(chosen.profile)
    from farthing_server import embedding  # its libraries are not in the emulated image

    return embedding.EmbeddingModel(
        chosen.model, precision=chosen.precision, threads=chosen.threads
    )


class Process:
    def __init__(self, chosen: options.Options, listener: socket.socket) -> None:
        self._chosen = chosen
        self._listener = listener
        self._model = build_model(chosen)
        self._metrics = Metrics(
            model=chosen.name,
            variant=chosen.variant,
            precision=chosen.precision,
            vllm_names=chosen.vllm_names,
        )
        limits = Limits(
            maximum_batch_size=chosen.maximum_batch_size,
            maximum_queued_items=chosen.maximum_queued_items,
            slo_s=chosen.slo_s,
        )
        self._engine = Engine(
            self._model, Scheduler(limits, BatchTime(UNKNOWN_BATCH_TIME)), self._metrics
        )
        self._app = app.App(
            name=chosen.name,
            slo_s=chosen.slo_s,
            engine=self._engine,
            served=self._model,
            counted=self._metrics,
            connections=ConnectionAges(chosen.connection_age_s),
            log=access_log.AccessLog(sys.stdout) if chosen.access_log else None,
        )
        self._stop = asyncio.Event()

    async def run(self) -> int:
        """Serve until told to stop; the process's exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        self._phase("process", age_s())
        host, port = self._listener.getsockname()[:2]
        log("listening", host=host, port=port, model=self._chosen.name)
        http = _Uvicorn(self._http())
        serving = asyncio.create_task(http.serve(sockets=[self._listener]))
        working = asyncio.create_task(self._work())
        stopping = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait((serving, working, stopping), return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                working.result()
            lost = await self._drain() if not serving.done() else 0
        finally:
            http.should_exit = True
            await serving
            working.cancel()
            stopping.cancel()
            await asyncio.wait((working, stopping))
            self._model.close()
        log("stopped", lost=lost)
        return 1 if lost else 0

    def _http(self) -> uvicorn.Config:
        return uvicorn.Config(
            self._app,
            http="httptools",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,
            server_header=False,
            date_header=False,
            backlog=BACKLOG,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=1,
        )

    def _phase(self, name: str, seconds: float) -> None:
        self._metrics.startup_s[name] = seconds

    async def _work(self) -> None:
        started_s = time.monotonic()
        await self._model.load()
        loaded_s = time.monotonic()
        self._phase("load", loaded_s - started_s)
        await self._engine.warm_up()
        self._phase("warm_up", time.monotonic() - loaded_s)
        self._app.lifecycle.ready = True
        line = self._engine.scheduler.batch_time.line
        log(
            "ready",
            startup_s={phase: round(s, 3) for phase, s in self._metrics.startup_s.items()},
            batch_ms={
                "fixed": round(line.fixed_s * 1e3, 3),
                "per_item": round(line.per_item_s * 1e3, 3),
            },
        )
        await self._engine.serve()

    async def _drain(self) -> int:
        """How many accepted requests could not be answered in time."""
        ends_s = time.monotonic() + self._chosen.drain_s
        lifecycle = self._app.lifecycle
        lifecycle.leaving = True
        log("draining", being_answered=lifecycle.being_answered)
        await asyncio.sleep(self._chosen.drain_delay_s)
        lifecycle.refusing = True
        log("refusing", being_answered=lifecycle.being_answered)
        if lifecycle.being_answered:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ends_s - time.monotonic()):
                    await lifecycle.quiet.wait()
        return lifecycle.being_answered


def run(chosen: options.Options) -> int:
    """Start, serve and end. Raises OptionError and ModelError before anything is served."""
    import uvloop

    async def main() -> int:
        return await Process(chosen, listen(chosen.host, chosen.port)).run()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main())
