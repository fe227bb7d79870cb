"""Everything that is watched, in one place: reflectors of the cluster's own kinds, and the store."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine
from datetime import datetime
from typing import Any

from farthing.kube import documents, handlers, trimming
from farthing.kube.connection import Connection, UnavailableError
from farthing.kube.documents import Json
from farthing.kube.interruptions import Notices, is_interrupted
from farthing.kube.reflector import Reflector
from farthing.kube.store import Store
from farthing.kube.translate import Facts

_RETRY_S = 2.0
_log = logging.getLogger(__name__)


class Cluster:
    """A mirror of what the operator looks at. `urgent` is set when a tick should not wait."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.urgent = asyncio.Event()
        self.store = Store(on_change=self.urgent.set)
        self._watcher = handlers.Watcher(self.store)
        self._swept = False
        self._notices = Notices()
        own = documents.OWN_CHILDREN
        self.pods = Reflector(
            connection,
            "/api/v1/pods",
            trim=trimming.pod,
            selector=own,
        )
        self.nodes = Reflector(
            connection, "/api/v1/nodes", trim=trimming.node, on_change=self._node_changed
        )
        self.namespaces = Reflector(connection, "/api/v1/namespaces", trim=trimming.namespace)
        self.children = {
            "Deployment": Reflector(connection, "/apis/apps/v1/deployments", selector=own),
            "Service": Reflector(connection, "/api/v1/services", selector=own),
            "PodDisruptionBudget": Reflector(
                connection, "/apis/policy/v1/poddisruptionbudgets", selector=own
            ),
        }

    @property
    def reflectors(self) -> tuple[Reflector, ...]:
        return (self.pods, self.nodes, self.namespaces, *self.children.values())

    @property
    def is_synced(self) -> bool:
        return self._swept and self._watcher.is_ready and all(r.synced for r in self.reflectors)

    @property
    def silence_s(self) -> float:
        """The longest time that a watch has been without any sign of life."""
        return time.monotonic() - min(one.last_event_at for one in self.reflectors)

    async def start(self) -> tuple[Coroutine[Any, Any, None], ...]:
        """List the custom kinds, start kopf, and return what has to run from now on."""
        await self._sweep_first()
        self._swept = True
        self._watcher.start()
        return (
            *(one.run() for one in self.reflectors),
            handlers.sweep_forever(self._connection, self.store),
            self._watch_watcher(),
        )

    async def _sweep_first(self) -> None:
        """An API server that is away is waited for; one that refuses ends the process."""
        while True:
            try:
                await handlers.sweep(self._connection, self.store)
            except UnavailableError as error:
                _log.warning("waiting for the API server: %s", error)
                await asyncio.sleep(_RETRY_S)
            else:
                return

    async def stop(self) -> None:
        await self._watcher.stop()

    def facts(self, at: datetime) -> Facts:
        """What is known now."""
        return Facts(
            pods=self.pods.objects,
            notices=self._notices.read(self.nodes.objects, at),
            deployments=self.children["Deployment"].objects,
            namespaces=self.namespaces.objects,
        )

    async def _watch_watcher(self) -> None:
        """Ends when kopf does: without it the operator would be half blind."""
        await self._watcher.ended.wait()
        raise RuntimeError("the watch of the custom kinds ended") from self._watcher.failure

    def _node_changed(self, before: Json | None, now: Json | None) -> None:
        if is_interrupted(now) and not is_interrupted(before):
            self.urgent.set()
