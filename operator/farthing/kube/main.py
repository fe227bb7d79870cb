"""The operator's process: `python -m farthing.kube.main`.

Exit codes: 0 after SIGTERM, 1 after a failure (a restart is safe at any moment), 2 for settings
that are refused.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import re
import signal
import sys
import urllib.parse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import uvloop

from farthing.core.policy import Policy
from farthing.kube import health as probes
from farthing.kube import journal
from farthing.kube.actuate import Actuator
from farthing.kube.cluster import Cluster
from farthing.kube.connection import ApiError, Connection
from farthing.kube.instruments import Instruments
from farthing.kube.lease import Lease
from farthing.kube.publish import Publisher
from farthing.kube.sensing import Sensing
from farthing.kube.tick import Loop
from farthing.signals.clock import SystemClock

_log = logging.getLogger("farthing.kube.main")
_BEAT_S = 0.5
_ENVIRONMENT = """\
environment:
  FARTHING_POD_NAME        who holds the Lease (default: the host's name and a random part)
  FARTHING_POD_NAMESPACE   namespace of the operator's own Lease (default farthing-system)
  FARTHING_CURRENCY        the one currency of all prices and budgets (default USD)
  FARTHING_PROMETHEUS_URL  a Prometheus that is asked where replicas do not answer (optional)
  KUBECONFIG               how to reach the API server; without it, the pod's ServiceAccount
"""


class SettingError(Exception):
    """A setting that is refused; names it, its value and what is allowed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    host: str
    port: int
    level: str
    namespace: str
    currency: str
    prometheus_url: str | None
    identity: str | None
    """The pod's name: a container that starts anew in it is the same holder of the lease."""


def main() -> None:
    """Run the operator until it is told to stop."""
    try:
        settings = read_settings(sys.argv[1:], os.environ)
    except SettingError as error:
        print(error, file=sys.stderr)  # noqa: T201 - before there is a log
        sys.exit(2)
    journal.start(settings.level)
    try:
        sys.exit(uvloop.run(_run(settings)))
    except ApiError as error:
        _log.error("the operator cannot start: %s", error)
        sys.exit(1)


def read_settings(arguments: Sequence[str], environment: Mapping[str, str]) -> Settings:
    """The settings from the command line and the environment. Raises SettingError."""
    given = _parser().parse_args(arguments)
    currency = environment.get("FARTHING_CURRENCY") or "USD"
    namespace = environment.get("FARTHING_POD_NAMESPACE") or "farthing-system"
    if not re.fullmatch(r"[A-Z]{3}", currency):
        raise SettingError(
            f"FARTHING_CURRENCY: {currency!r} is refused; allowed: an ISO 4217 code such as EUR"
        )
    if not re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", namespace):
        raise SettingError(
            f"FARTHING_POD_NAMESPACE: {namespace!r} is refused; allowed: the name of a namespace"
        )
    if not 0 <= given.port <= 65_535:
        raise SettingError(f"--port: {given.port} is refused; allowed: 0 to 65535")
    return Settings(
        host=given.host,
        port=given.port,
        level=given.log_level,
        namespace=namespace,
        currency=currency,
        identity=environment.get("FARTHING_POD_NAME") or None,
        prometheus_url=_checked_url(environment.get("FARTHING_PROMETHEUS_URL") or None),
    )


def _checked_url(url: str | None) -> str | None:
    if url is None:
        return None
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
        raise SettingError(
            f"FARTHING_PROMETHEUS_URL: {url!r} is refused; allowed: http:// or https:// with a "
            "host and no user"
        )
    return url


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m farthing.kube.main",
        description="Serve models within their latency objectives and budgets, at the lowest cost.",
        epilog=_ENVIRONMENT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address of the probes and metrics (in a pod: $(POD_IP))",
    )
    parser.add_argument("--port", type=int, default=8081, help="port of the probes and metrics")
    parser.add_argument("--log-level", choices=journal.LEVELS, default="info", help="least level")
    return parser


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    """What one process is made of."""

    connection: Connection
    cluster: Cluster
    lease: Lease
    instruments: Instruments
    health: probes.Health
    sensing: Sensing


async def _run(settings: Settings) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with Connection() as connection:
        lease = Lease(connection, settings.namespace, identity=settings.identity)
        cluster = Cluster(connection)
        parts = _Parts(
            connection=connection,
            cluster=cluster,
            lease=lease,
            instruments=Instruments(settings.currency),
            health=probes.Health(
                is_synced=lambda: cluster.is_synced,
                silence_s=lambda: cluster.silence_s,
                is_lease_known=lambda: lease.known,
                is_leading=lambda: lease.is_held,
            ),
            sensing=Sensing(SystemClock(), settings.prometheus_url),
        )
        runner = await probes.serve(parts.health, parts.instruments, settings.host, settings.port)
        try:
            return await _supervise(stop, parts)
        finally:
            await lease.release()
            await cluster.stop()
            await runner.cleanup()


async def _supervise(stop: asyncio.Event, parts: _Parts) -> int:
    """Run everything until told to stop (0) or until something that must go on ends (1)."""
    watching = await parts.cluster.start()
    jobs = {
        "stop": stop.wait(),
        "heartbeat": _beat(parts.health),
        "sensing": parts.sensing.run(stop),
        "lease": _lead_once_synced(parts),
        "ticks": _ticks(parts),
    }
    tasks = {asyncio.create_task(job): name for name, job in jobs.items()}
    tasks |= {asyncio.create_task(job): "watch" for job in watching}
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    told_to_stop = stop.is_set()
    stop.set()
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
    failed = False
    for task in done:
        failure = task.exception()
        if failure is not None or not told_to_stop:
            _log.error("%s ended", tasks[task], exc_info=failure)
            failed = True
    return 1 if failed else 0


async def _lead_once_synced(parts: _Parts) -> None:
    """A process that knows nothing yet must not keep the lease from one that could act."""
    while not parts.cluster.is_synced:  # noqa: ASYNC110 - many mirrors, one of them a thread
        await asyncio.sleep(_BEAT_S / 10)
    await parts.lease.run()


async def _ticks(parts: _Parts) -> None:
    lease, cluster = parts.lease, parts.cluster

    def may_write() -> bool:
        return lease.is_held

    writing = (may_write, parts.instruments)
    loop = Loop(
        cluster,
        parts.sensing,
        Actuator(parts.connection, cluster.children, *writing),
        Publisher(parts.connection, cluster.store, *writing, lease.identity),
        parts.instruments,
        parts.health,
        SystemClock(),
        Policy(),
        lease,
    )
    await loop.run()


async def _beat(health: probes.Health) -> None:
    while True:
        health.beat()
        await asyncio.sleep(_BEAT_S)


if __name__ == "__main__":
    main()
