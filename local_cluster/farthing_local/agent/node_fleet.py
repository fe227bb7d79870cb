"""The nodes of all pools: registered, kept alive, interrupted and replaced."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from farthing_local.agent import nodes
from farthing_local.agent.api import MERGE, ApiClient, ApiError, ConflictError, NotFoundError
from farthing_local.agent.documents import Json, micro_timestamp, name, now
from farthing_local.agent.reflector import Change
from farthing_local.agent.settings import Pool

_log = logging.getLogger(__name__)
_RENEW_EVERY_S = 10.0
_HEARTBEAT_EVERY_S = 240.0
_RETRY_S = 1.0
_NODES = "/api/v1/nodes"
_LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"


@dataclass(frozen=True, slots=True, kw_only=True)
class Census:
    """What has to happen so that each pool has its number of nodes."""

    keep: tuple[str, ...]
    create: tuple[str, ...]
    remove: tuple[str, ...]


def census(pool: Pool, present: Mapping[str, Json], first_ordinal: int = 0) -> Census:
    """Which nodes of a pool stay, come and go. Pure.

    A node whose notice was given counts as lost: the agent that would have ended it is gone.
    New names continue after the highest one seen, so that no name comes back as another machine.
    """
    ordinals = {
        at: node for node in present if (at := nodes.ordinal_of(node, pool.name)) is not None
    }
    sound = [
        ordinals[at] for at in sorted(ordinals) if not nodes.is_interrupted(present[ordinals[at]])
    ]
    keep = tuple(sound[: pool.nodes])
    start = max([first_ordinal, *(at + 1 for at in ordinals)])
    create = tuple(nodes.node_name(pool.name, start + at) for at in range(pool.nodes - len(keep)))
    return Census(
        keep=keep,
        create=create,
        remove=tuple(sorted(ordinals[at] for at in ordinals if ordinals[at] not in keep)),
    )


class NodeFleet:
    """Speaks for every node; `lose_pods` is what happens to a node's pods when it is lost."""

    def __init__(
        self,
        api: ApiClient,
        pools: Sequence[Pool],
        kubelet_port: int,
        lose_pods: Callable[[str], Awaitable[None]],
    ) -> None:
        self.api, self._kubelet_port, self._lose_pods = api, kubelet_port, lose_pods
        self.pools = {pool.name: pool for pool in pools}
        self._nodes: dict[str, Pool] = {}
        self.objects: dict[str, Json] = {}
        self._next_ordinal: dict[str, int] = dict.fromkeys(self.pools, 0)

    def pool_of(self, node: str) -> Pool | None:
        return self._nodes.get(node)

    def names(self, pool: str | None = None) -> list[str]:
        return [node for node, its in self._nodes.items() if pool in (None, its.name)]

    def on_node(self, change: Change, node: Json) -> None:
        if change is Change.UPSERTED:
            self.objects[name(node)] = node
            return
        self.objects.pop(name(node), None)
        if self._nodes.pop(name(node), None) is not None:
            _log.warning(
                "node %s was deleted by someone else; it is no longer kept alive", name(node)
            )

    async def register(self) -> None:
        """Bring the API server's nodes in line with the pools; retried until it is there."""
        while True:
            try:
                await self._register()
                return
            except ApiError as error:
                _log.warning("nodes cannot be registered yet: %s", error)
                await asyncio.sleep(_RETRY_S)

    async def _register(self) -> None:
        listed = await self.api.get(_NODES)
        ours = {name(one): one for one in listed.get("items") or [] if nodes.is_ours(one)}
        plans = [(pool, census(pool, _of_pool(ours, pool.name))) for pool in self.pools.values()]
        for node in ours:
            if not any(node in plan.keep for _, plan in plans):
                await self.api.delete(f"{_NODES}/{node}")
        for pool, plan in plans:
            for node in plan.keep:
                await self._refresh(pool, ours[node])
            for node in plan.create:
                await self.add(pool, node)
            self._note_ordinals(pool, [*plan.keep, *plan.create, *plan.remove])

    async def _refresh(self, pool: Pool, node: Json) -> None:
        """Take over a node that an earlier agent registered."""
        self._nodes[name(node)] = pool
        status = nodes.node_status(pool, kubelet_port=self._kubelet_port, at=now())
        status["conditions"] = nodes.ready_conditions(now(), nodes.ready_since(node))
        self.objects[name(node)] = await self.api.patch(
            f"{_NODES}/{name(node)}/status", {"status": status}
        )
        await self._renew(name(node))

    async def add(self, pool: Pool, node: str | None = None) -> str:
        """Register one more node of a pool, under the next free name unless one is given."""
        chosen = node or nodes.node_name(pool.name, self._next_ordinal[pool.name])
        self._note_ordinals(pool, [chosen])
        document = nodes.node_document(pool, chosen, kubelet_port=self._kubelet_port, at=now())
        self._nodes[chosen] = pool
        try:
            self.objects[chosen] = await self.api.create(_NODES, document)
        except ConflictError as error:
            self._nodes.pop(chosen)
            raise ConflictError(
                error.status, error.reason, f"node {chosen} exists and is not one of this agent"
            ) from error
        await self._renew(chosen)
        return chosen

    def _note_ordinals(self, pool: Pool, seen: Sequence[str]) -> None:
        for node in seen:
            ordinal = nodes.ordinal_of(node, pool.name)
            if ordinal is not None:
                following = max(self._next_ordinal[pool.name], ordinal + 1)
                self._next_ordinal[pool.name] = following

    async def keep_alive(self) -> None:
        """Renew every node's lease, and from time to time its heartbeat, until cancelled."""
        loop = asyncio.get_running_loop()
        heartbeat_at_s = loop.time() + _HEARTBEAT_EVERY_S
        while True:
            await asyncio.sleep(_RENEW_EVERY_S)
            await asyncio.gather(*(self._renew(node) for node in self.names()))
            if loop.time() >= heartbeat_at_s:
                heartbeat_at_s = loop.time() + _HEARTBEAT_EVERY_S
                await asyncio.gather(*(self._heartbeat(node) for node in self.names()))

    async def _renew(self, node: str) -> None:
        try:
            try:
                spec = {"renewTime": micro_timestamp(now())}
                await self.api.patch(f"{_LEASES}/{node}", {"spec": spec}, MERGE)
            except NotFoundError:
                if node in self.objects:
                    await self.api.create(_LEASES, nodes.lease_document(self.objects[node], now()))
        except ApiError as error:
            _log.debug("lease of %s not renewed this time: %s", node, error)

    async def _heartbeat(self, node: str) -> None:
        since = nodes.ready_since(self.objects.get(node, {}))
        conditions = nodes.ready_conditions(now(), since)
        try:
            await self.api.patch(f"{_NODES}/{node}/status", {"status": {"conditions": conditions}})
        except ApiError as error:
            _log.debug("heartbeat of %s not written this time: %s", node, error)

    async def give_notice(self, node: str) -> None:
        """Taint the node, beside whatever taints others have set."""
        while True:
            current = await self.api.get(f"{_NODES}/{node}")
            patch = {
                "metadata": {"resourceVersion": current["metadata"]["resourceVersion"]},
                "spec": {"taints": nodes.interrupted_taints(current, now())},
            }
            try:
                self.objects[node] = await self.api.patch(f"{_NODES}/{node}", patch, MERGE)
                return
            except ConflictError:
                continue

    async def lose(self, node: str) -> None:
        """The machine is gone: its processes at once, then its object, then its pods' objects."""
        self._nodes.pop(node, None)
        await self._lose_pods(node)
        while True:
            try:
                await self.api.delete(f"{_NODES}/{node}")
                await self._delete_pods(node)
                return
            except ApiError as error:
                _log.warning("lost node %s cannot be removed yet: %s", node, error)
                await asyncio.sleep(_RETRY_S)

    async def _delete_pods(self, node: str) -> None:
        listed = await self.api.get("/api/v1/pods", fieldSelector=f"spec.nodeName={node}")
        for pod in listed.get("items") or []:
            metadata = pod["metadata"]
            await self.api.delete(
                f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}",
                grace_s=0,
                uid=metadata["uid"],
            )


def _of_pool(ours: Mapping[str, Json], pool: str) -> dict[str, Json]:
    return {
        node: one
        for node, one in ours.items()
        if (one["metadata"].get("labels") or {}).get(nodes.POOL_LABEL) == pool
    }
