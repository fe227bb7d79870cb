"""All pods that are bound to nodes of ours."""

from __future__ import annotations

import asyncio
import collections
import logging
import shutil
import signal
from collections.abc import Callable, Iterator

from farthing_local.agent.documents import Json, name, namespace, part, uid
from farthing_local.agent.host import Host
from farthing_local.agent.pod import Pod
from farthing_local.agent.reflector import Change
from farthing_local.agent.settings import Pool

_log = logging.getLogger(__name__)


class PodSet:
    """Follows the API server's pods; `pool_of` tells whose node a name is, if any of ours."""

    def __init__(self, host: Host, pool_of: Callable[[str], Pool | None]) -> None:
        self._host, self._pool_of = host, pool_of
        self._pods: dict[str, Pod] = {}
        self._removals: set[asyncio.Task[None]] = set()

    def __iter__(self) -> Iterator[Pod]:
        return iter(self._pods.values())

    def on_pod(self, change: Change, pod: Json) -> None:
        known = self._pods.get(uid(pod))
        if change is Change.DELETED:
            if known is not None:
                known.object = pod
                self._remove_soon(known)
        elif known is not None:
            known.update(pod)
        else:
            self._admit(pod)
        self._host.on_readiness()

    def _admit(self, pod: Json) -> None:
        pool = self._pool_of(str(part(pod, "spec").get("nodeName", "")))
        if pool is not None:
            self._pods[uid(pod)] = Pod(pod, pool, self._host)
            self._pods[uid(pod)].begin()

    def _remove_soon(self, pod: Pod) -> None:
        async def remove() -> None:
            await pod.remove()
            self._pods.pop(uid(pod.object), None)

        task = asyncio.create_task(remove())
        self._removals.add(task)
        task.add_done_callback(self._removals.discard)

    def named(self, wanted_namespace: str, wanted: str) -> Pod | None:
        for pod in self._pods.values():
            if name(pod.object) == wanted and namespace(pod.object) == wanted_namespace:
                return pod
        return None

    def on_node(self, node: str) -> list[Pod]:
        return [
            pod
            for pod in self._pods.values()
            if part(pod.object, "spec").get("nodeName") == node and not pod.gone
        ]

    async def lose(self, node: str) -> None:
        """End the pods of a node without a word, as a machine that vanishes does."""
        await asyncio.gather(*(pod.remove() for pod in self.on_node(node)))

    def phase_counts(self) -> dict[str, int]:
        return dict(collections.Counter(pod.phase.value for pod in self._pods.values()))

    def forget_stale_folders(self) -> None:
        """Remove what pods that ended while no agent ran have left on disk."""
        root = self._host.state / "pods"
        for folder in root.iterdir() if root.exists() else ():
            if folder.name not in self._pods:
                shutil.rmtree(folder, ignore_errors=True)

    async def stop(self, grace_s: float) -> None:
        """End all processes: SIGTERM, and SIGKILL after the given time. Objects stay."""
        await asyncio.gather(
            *(pod.remove(signal.SIGTERM, grace_s) for pod in self._pods.values()), *self._removals
        )
