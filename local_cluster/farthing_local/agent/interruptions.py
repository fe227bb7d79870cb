"""Taking a node away as a cloud does: a notice, the loss after it, and in time another node."""

from __future__ import annotations

import asyncio
import datetime
import logging
import random
from dataclasses import dataclass

from farthing_local.agent import nodes
from farthing_local.agent.api import ApiError
from farthing_local.agent.documents import Json, now, timestamp
from farthing_local.agent.node_fleet import NodeFleet

_log = logging.getLogger(__name__)
_RETRY_S = 2.0
_FIELDS = ("node", "pool", "noticeSeconds", "replace", "replaceAfterSeconds")


class InvalidRequestError(Exception):
    """A request that names a wrong field, value or node."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InterruptionRequest:
    """Which node, or one of which pool, or one of any Spot pool; and how."""

    node: str | None = None
    pool: str | None = None
    notice_s: float = 30.0
    replace: bool = True
    replace_after_s: float = 30.0

    @classmethod
    def of(cls, document: object) -> InterruptionRequest:
        if not isinstance(document, dict):
            raise InvalidRequestError(f"the request is {document!r}: must be an object")
        unknown = sorted(str(key) for key in document if key not in _FIELDS)
        if unknown:
            raise InvalidRequestError(f"{unknown[0]}: unknown, must be one of {', '.join(_FIELDS)}")
        replace = document.get("replace", True)
        if not isinstance(replace, bool):
            raise InvalidRequestError(f"replace: is {replace!r}, must be true or false")
        return cls(
            node=_name(document, "node"),
            pool=_name(document, "pool"),
            notice_s=_seconds(document, "noticeSeconds"),
            replace=replace,
            replace_after_s=_seconds(document, "replaceAfterSeconds"),
        )


def _name(document: Json, key: str) -> str | None:
    value = document.get(key)
    if value is not None and not isinstance(value, str):
        raise InvalidRequestError(f"{key}: is {value!r}, must be a name or null")
    return value


def _seconds(document: Json, key: str) -> float:
    value = document.get(key, 30)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 86_400:
        raise InvalidRequestError(f"{key}: is {value!r}, must be a number from 0 to 86400")
    return float(value)


class Interruptions:
    """Carries out requests; several nodes may be on notice at once."""

    def __init__(self, fleet: NodeFleet) -> None:
        self._fleet = fleet
        self._on_notice: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def begin(self, request: InterruptionRequest) -> Json:
        """Give the notice; the answer says which node and when it will be gone."""
        node = self._choose(request)
        self._on_notice.add(node)
        try:
            await self._fleet.give_notice(node)
        except ApiError:
            self._on_notice.discard(node)
            raise
        task = asyncio.create_task(self._carry_out(node, request))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        gone_at = now() + datetime.timedelta(seconds=request.notice_s)
        return {"node": node, "goneAt": timestamp(gone_at)}

    def stop(self) -> None:
        for task in self._tasks:
            task.cancel()

    def _choose(self, request: InterruptionRequest) -> str:
        if request.pool is not None and request.pool not in self._fleet.pools:
            known = ", ".join(self._fleet.pools)
            raise InvalidRequestError(f"pool: is {request.pool!r}, must be one of {known}")
        candidates = [node for node in self._fleet.names(request.pool) if self._may_take(node)]
        if request.node is not None:
            if request.node not in candidates:
                raise InvalidRequestError(
                    f"node: is {request.node!r}, must be one of {', '.join(candidates) or 'none'}"
                )
            return request.node
        if request.pool is None:
            pools = {name for name, one in self._fleet.pools.items() if one.capacity_type == "Spot"}
            candidates = [node for node in candidates if self._pool_name(node) in pools]
        if not candidates:
            raise InvalidRequestError("there is no node left that could be interrupted")
        return random.choice(candidates)  # noqa: S311

    def _may_take(self, node: str) -> bool:
        tainted = nodes.is_interrupted(self._fleet.objects.get(node, {}))
        return node not in self._on_notice and not tainted

    def _pool_name(self, node: str) -> str | None:
        pool = self._fleet.pool_of(node)
        return None if pool is None else pool.name

    async def _carry_out(self, node: str, request: InterruptionRequest) -> None:
        pool = self._fleet.pool_of(node)
        await asyncio.sleep(request.notice_s)
        await self._fleet.lose(node)
        self._on_notice.discard(node)
        if not request.replace or pool is None:
            return
        await asyncio.sleep(request.replace_after_s)
        while True:
            try:
                await self._fleet.add(pool)
                return
            except ApiError as error:
                _log.warning("no replacement for %s yet: %s", node, error)
                await asyncio.sleep(_RETRY_S)
