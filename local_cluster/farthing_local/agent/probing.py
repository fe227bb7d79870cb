"""Asking a container how it is: by HTTP, by a TCP connection, by a command."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import aiohttp

from farthing_local.agent.documents import Json, items, part
from farthing_local.agent.probes import ProbeKind, ProbeState, ProbeTiming
from farthing_local.agent.process import CannotStartError, Process


class InvalidHandlerError(Exception):
    """A probe or hook that names no way of asking that exists, or an unknown port."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What is asked: a container, where it listens, and how a command is run inside it."""

    container: Json
    address: str
    run: Callable[[Sequence[str]], Process]
    session: aiohttp.ClientSession


def port_number(port: str | int, container: Json) -> int:
    """A port by its number or by the name that the container gives it."""
    if isinstance(port, int) or str(port).isdigit():
        return int(port)
    for declared in items(container, "ports"):
        if declared.get("name") == port:
            return int(declared["containerPort"])
    raise InvalidHandlerError(f"port {port!r}: must be a number or the name of a container port")


async def perform(handler: Json, target: Target, timeout_s: float) -> tuple[bool, str]:
    """Carry out one probe or hook: whether it passed, and what was seen."""
    try:
        async with asyncio.timeout(timeout_s):
            if "httpGet" in handler:
                return await _http(handler["httpGet"], target)
            if "tcpSocket" in handler:
                return await _tcp(handler["tcpSocket"], target)
            if "exec" in handler:
                return await _command(part(handler, "exec").get("command") or [], target)
            if "sleep" in handler:
                await asyncio.sleep(float(handler["sleep"]["seconds"]))
                return True, "slept"
    except TimeoutError:
        return False, f"no answer within {timeout_s:g} s"
    except (aiohttp.ClientError, OSError, CannotStartError, InvalidHandlerError) as error:
        return False, str(error) or repr(error)
    return False, f"{', '.join(handler)}: must be one of httpGet, tcpSocket, exec, sleep"


async def _http(get: Json, target: Target) -> tuple[bool, str]:
    host = get.get("host") or target.address
    scheme = str(get.get("scheme") or "HTTP").lower()
    path = str(get.get("path") or "/")
    port = port_number(get["port"], target.container)
    headers: Mapping[str, str] = {one["name"]: one["value"] for one in items(get, "httpHeaders")}
    url = f"{scheme}://{host}:{port}/{path.lstrip('/')}"
    # The certificate is not verified, as a kubelet's probe does not either.
    async with target.session.get(url, headers=headers, ssl=False, allow_redirects=False) as answer:
        return 200 <= answer.status < 400, f"HTTP status {answer.status}"


async def _tcp(tcp: Json, target: Target) -> tuple[bool, str]:
    port = port_number(tcp["port"], target.container)
    _, writer = await asyncio.open_connection(tcp.get("host") or target.address, port)
    writer.close()
    return True, "connected"


async def _command(argv: Sequence[str], target: Target) -> tuple[bool, str]:
    process = target.run(argv)
    try:
        code = await process.wait()
    except asyncio.CancelledError:
        process.signal(signal.SIGKILL)
        await process.wait()
        raise
    return code == 0, f"exit code {code}"


async def probe_until_cancelled(
    kind: ProbeKind,
    probe: Json,
    target: Target,
    on_answer: Callable[[ProbeState, str], None],
) -> None:
    """Ask in the probe's rhythm, telling the verdict after each answer."""
    timing = ProbeTiming.of(probe)
    state = ProbeState.initial(kind)
    await asyncio.sleep(timing.initial_delay_s)
    while True:
        passed, seen = await perform(probe, target, timing.timeout_s)
        state = state.after(passed, timing)
        on_answer(state, seen)
        await asyncio.sleep(timing.period_s)
