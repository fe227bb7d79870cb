"""The Services whose ClusterIP is a loopback address: who listens, and which pods stand behind.

The API server refuses loopback addresses in EndpointSlices, so the agent does not ask for them:
it knows its own pods, and sooner than any slice would.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from farthing_local.agent import proxy
from farthing_local.agent.documents import Json, items, matches, name, namespace, part, uid
from farthing_local.agent.pod import Pod
from farthing_local.agent.probing import InvalidHandlerError, port_number
from farthing_local.agent.reflector import Change

SERVICE_NETWORK = ipaddress.IPv4Network("127.240.0.0/16")
# Where ports below 1024 may not be opened, a Service listens this much higher, and says so.
UNPRIVILEGED_OFFSET = 10_000
_RETRY_S = 5.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Frontend:
    """One address and port on which a Service is asked for."""

    service_uid: str
    address: str
    port: int


def frontends(service: Json) -> dict[Frontend, Json]:
    """Where this Service listens, with its port entries; nothing where it has no selector."""
    spec = part(service, "spec")
    address = str(spec.get("clusterIP") or "None")
    if not spec.get("selector") or address in ("None", ""):
        return {}
    if ipaddress.ip_address(address) not in SERVICE_NETWORK:
        return {}
    return {
        Frontend(uid(service), address, int(port["port"])): port
        for port in items(spec, "ports")
        if port.get("protocol", "TCP") == "TCP"
    }


def backend_port(service_port: Json, pod: Json) -> int | None:
    """The port of this pod that the Service's targetPort means, or none when it has no such."""
    target = service_port.get("targetPort") or service_port["port"]
    for container in items(pod, "spec", "containers"):
        with contextlib.suppress(InvalidHandlerError):
            return port_number(target, container)
    return None


class ServiceProxy:
    """Keeps one listener per frontend; level-triggered, so order of events does not matter."""

    def __init__(self, pods: Callable[[], Iterable[Pod]]) -> None:
        self._pods = pods
        self._services: dict[str, Json] = {}
        self._servers: dict[Frontend, asyncio.Server] = {}
        self._listening: dict[Frontend, str] = {}
        self._cache: dict[Frontend, list[proxy.Backend]] = {}
        self._changed = asyncio.Event()

    def on_service(self, change: Change, service: Json) -> None:
        if change is Change.DELETED:
            self._services.pop(uid(service), None)
        else:
            self._services[uid(service)] = service
        self.forget_backends()
        self._changed.set()

    def forget_backends(self) -> None:
        """To be called when a pod may have become ready, or stopped being so."""
        self._cache.clear()

    async def run(self) -> None:
        """Open and close listeners as Services come and go, until cancelled."""
        try:
            while True:
                self._changed.clear()
                complete = await self._adjust()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(None if complete else _RETRY_S):
                        await self._changed.wait()
        finally:
            for server in self._servers.values():
                server.close()

    def describe(self) -> list[Json]:
        """Each frontend with where it listens and what stands behind, for people."""
        return [
            {
                "namespace": namespace(service),
                "name": name(service),
                "address": f"{one.address}:{one.port}",
                "listening": self._listening.get(one, "not yet"),
                "pods": [f"{address}:{port}" for address, port in self._backends(one)],
            }
            for service in self._services.values()
            for one in frontends(service)
        ]

    async def _adjust(self) -> bool:
        wanted = {one for service in self._services.values() for one in frontends(service)}
        for gone in self._servers.keys() - wanted:
            # Established connections go on: closing a server ends only the listening.
            self._servers.pop(gone).close()
            self._listening.pop(gone, None)
        for one in wanted - self._servers.keys():
            await self._open(one)
        return wanted == self._servers.keys()

    async def _open(self, frontend: Frontend) -> None:
        port = frontend.port
        try:
            server = await self._listen(frontend, port)
        except PermissionError:
            port += UNPRIVILEGED_OFFSET
            _log.warning(
                "%s:%d needs a privilege; listening on port %d instead "
                "(sysctl net.ipv4.ip_unprivileged_port_start=0 lifts that)",
                frontend.address,
                frontend.port,
                port,
            )
            server = await self._listen(frontend, port)
        if server is not None:
            self._servers[frontend] = server
            self._listening[frontend] = f"{frontend.address}:{port}"

    async def _listen(self, frontend: Frontend, port: int) -> asyncio.Server | None:
        try:
            return await proxy.listen(frontend.address, port, lambda: self._backends(frontend))
        except PermissionError:
            raise
        except OSError as error:
            reason = errno.errorcode.get(error.errno or 0, str(error))
            _log.warning("cannot listen on %s:%d yet: %s", frontend.address, port, reason)
            self._listening[frontend] = f"not yet: {reason}"
            return None

    def _backends(self, frontend: Frontend) -> list[proxy.Backend]:
        known = self._cache.get(frontend)
        if known is None:
            known = self._cache[frontend] = self._find_backends(frontend)
        return known

    def _find_backends(self, frontend: Frontend) -> list[proxy.Backend]:
        service = self._services.get(frontend.service_uid)
        if service is None:
            return []
        service_port = frontends(service).get(frontend)
        selector = part(service, "spec", "selector")
        found: list[proxy.Backend] = []
        for pod in self._pods():
            if service_port is None or namespace(pod.object) != namespace(service):
                continue
            if not matches(selector, part(pod.object, "metadata", "labels")) or not pod.is_ready:
                continue
            port = backend_port(service_port, pod.object)
            if pod.address is not None and port is not None:
                found.append((pod.address, port))
        return found
