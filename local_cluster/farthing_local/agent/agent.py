"""The agent put together: what is started in which order, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import pathlib
import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import aiohttp
from aiohttp import web

from farthing_local.agent import access, control, kubelet_api, nodes, settings
from farthing_local.agent.addresses import AddressPool, preferred_blocks
from farthing_local.agent.api import ApiClient
from farthing_local.agent.events import EventRecorder
from farthing_local.agent.host import Host
from farthing_local.agent.images import ImageCatalog
from farthing_local.agent.interruptions import Interruptions
from farthing_local.agent.node_fleet import NodeFleet
from farthing_local.agent.pods import PodSet
from farthing_local.agent.process import ProcessRecords
from farthing_local.agent.reflector import Reflector
from farthing_local.agent.services import ServiceProxy
from farthing_local.agent.volumes import VolumeWriter

_log = logging.getLogger(__name__)
_STOP_GRACE_S = 3.0
# Bound, never listened on: who holds it in a block owns the block's addresses.
_CLAIM_PORT = 10_250


class CannotRunError(Exception):
    """The agent cannot do its work here; says why and what would help."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSettings:
    kubeconfig: pathlib.Path
    nodes: pathlib.Path
    images: pathlib.Path
    state: pathlib.Path
    certificate: pathlib.Path
    key: pathlib.Path
    client_ca: pathlib.Path


async def run(wanted: AgentSettings, stop: asyncio.Event) -> None:
    """Be the nodes' agent until told to stop; no process of a pod outlives the call."""
    pools = settings.read_pools(wanted.nodes)
    images = ImageCatalog(wanted.images)
    cluster = access.read_kubeconfig(wanted.kubeconfig)
    wanted.state.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _sole_agent(wanted.state), _address_block(wanted.state) as block:
        records = ProcessRecords(wanted.state / "processes")
        leftovers = records.end_leftovers()
        if leftovers:
            _log.warning("ended %d processes that an earlier agent had left", leftovers)
        async with (
            ApiClient(cluster, wanted.state) as api,
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(force_close=True, limit=0)
            ) as probe_session,
        ):
            # The host calls back to the proxy, which asks the pods, which live on the host.
            services = ServiceProxy(lambda: iter(pods))
            host = Host(
                api=api,
                state=wanted.state,
                images=images,
                addresses=AddressPool(block),
                records=records,
                volumes=VolumeWriter(api),
                events=EventRecorder(api),
                probe_session=probe_session,
                on_readiness=services.forget_backends,
            )
            pods = PodSet(host, lambda node: fleet.pool_of(node))
            async with _kubelet_server(wanted, pods) as kubelet_port:
                fleet = NodeFleet(api, pools, kubelet_port, pods.lose)
                await _serve(wanted, fleet, pods, services, stop)


async def _serve(
    wanted: AgentSettings,
    fleet: NodeFleet,
    pods: PodSet,
    services: ServiceProxy,
    stop: asyncio.Event,
) -> None:
    interruptions = Interruptions(fleet)
    app = control.application(fleet, pods, services, interruptions)
    try:
        async with _control_server(wanted.state / "agent.sock", app):
            work = asyncio.create_task(_work(fleet, pods, services))
            stopping = asyncio.create_task(stop.wait())
            await asyncio.wait({work, stopping}, return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            if work.done():
                # It never ends by itself: this raises the defect that ended it.
                await work
            work.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await work
    finally:
        interruptions.stop()
        await pods.stop(_STOP_GRACE_S)


async def _work(fleet: NodeFleet, pods: PodSet, services: ServiceProxy) -> None:
    await fleet.register()
    _log.info("%d nodes of %d pools are registered", len(fleet.names()), len(fleet.pools))
    api = fleet.api
    bound = Reflector(api, "/api/v1/pods", pods.on_pod, field_selector="spec.nodeName!=")
    every_node = Reflector(api, "/api/v1/nodes", fleet.on_node)
    every_service = Reflector(api, "/api/v1/services", services.on_service)
    async with asyncio.TaskGroup() as group:
        for reflector in (bound, every_node, every_service):
            group.create_task(reflector.run())
        group.create_task(services.run())
        group.create_task(fleet.keep_alive())
        await bound.synced.wait()
        pods.forget_stale_folders()


@contextlib.contextmanager
def _sole_agent(state: pathlib.Path) -> Iterator[None]:
    with (state / "agent.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CannotRunError(
                f"another agent uses {state}: stop it, or give another --state"
            ) from error
        yield


@contextlib.contextmanager
def _address_block(state: pathlib.Path) -> Iterator[int]:
    """A block of loopback addresses for as long as the context lasts."""
    for block in preferred_blocks(str(state.resolve())):
        with socket.socket() as claim:
            try:
                claim.bind((f"127.{block}.0.1", _CLAIM_PORT))
            except OSError:
                continue
            yield block
            return
    raise CannotRunError(
        f"no address from 127.1.0.1 to 127.239.0.1 can be bound at port {_CLAIM_PORT}: the local "
        "cluster needs Linux, where all of 127.0.0.0/8 is loopback; elsewhere use CLUSTER=kind"
    )


@contextlib.asynccontextmanager
async def _kubelet_server(wanted: AgentSettings, pods: PodSet) -> AsyncIterator[int]:
    context = kubelet_api.server_context(
        str(wanted.certificate), str(wanted.key), str(wanted.client_ca)
    )
    runner = web.AppRunner(kubelet_api.application(pods.named), access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, nodes.HOST_IP, 0, ssl_context=context)
        await site.start()
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


@contextlib.contextmanager
def _control_socket(path: pathlib.Path) -> Iterator[socket.socket]:
    """A socket that only this user can open; one left by an agent that was killed gives way."""
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        path.chmod(0o600)
        listener.setblocking(False)
        try:
            yield listener
        finally:
            path.unlink(missing_ok=True)


@contextlib.asynccontextmanager
async def _control_server(path: pathlib.Path, app: web.Application) -> AsyncIterator[None]:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    with _control_socket(path) as listener:
        try:
            await web.SockSite(runner, listener).start()
            yield
        finally:
            await runner.cleanup()
