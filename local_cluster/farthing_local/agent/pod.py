"""One pod of ours, from its binding to its removal."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import signal
from collections.abc import Coroutine
from typing import Any

from farthing_local.agent import nodes, pod_status
from farthing_local.agent.addresses import AddressesExhaustedError
from farthing_local.agent.api import ApiError, ConflictError, NotFoundError
from farthing_local.agent.backoff import BackOff
from farthing_local.agent.container import Container
from farthing_local.agent.documents import Json, items, name, namespace, now, part, uid
from farthing_local.agent.fields import UnknownFieldError
from farthing_local.agent.host import Host
from farthing_local.agent.pod_status import ContainerView, PodView, Terminated
from farthing_local.agent.seeds import earlier_address, earlier_start, seeded_view
from farthing_local.agent.settings import Pool
from farthing_local.agent.volumes import REFRESH_S, CannotMountError, PodPlace, prepare_folder

_log = logging.getLogger(__name__)
_RETRY_S = 1.0


class Pod:
    """Runs the pod's containers and keeps the API server told of how they are."""

    def __init__(self, pod: Json, pool: Pool, host: Host) -> None:
        self.object = pod
        self._pool, self._host = pool, host
        # As the API server had it: our own writes are about to change that.
        self._taken_over = pod
        self._seen_at = now()
        self._started_at = earlier_start(pod) or self._seen_at
        self._place: PodPlace | None = None
        self.containers: list[Container] = []
        self._init_containers: list[Container] = []
        self.terminating = False
        self._terminating_grace_s = 0.0
        self._published: Json = part(pod, "status")
        self._changed = asyncio.Event()
        self._publishing = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []
        self._kill_timer: asyncio.TimerHandle | None = None
        self.gone = False

    def begin(self) -> None:
        if self.object["metadata"].get("deletionTimestamp"):
            self._terminate()
        elif self._is_over():
            return
        else:
            self._spawn("life", self._live())
            self._spawn("publisher", self._publish_changes())

    # What others ask.

    @property
    def address(self) -> str | None:
        return None if self._place is None else self._place.pod_ip

    @property
    def is_ready(self) -> bool:
        return not self.gone and pod_status.is_ready(self._view())

    @property
    def phase(self) -> pod_status.Phase:
        if self._is_over() and not self.containers:
            return pod_status.Phase(part(self.object, "status")["phase"])
        return pod_status.phase(self._view())

    def container(self, wanted: str) -> Container | None:
        every = [*self._init_containers, *self.containers]
        return next((one for one in every if one.view.name == wanted), None)

    # What happens to it.

    def update(self, pod: Json) -> None:
        """Take in a newer object of the same pod; a deletion begins here."""
        self.object = pod
        if not pod["metadata"].get("deletionTimestamp") or self.gone:
            return
        if not self.terminating:
            self._terminate()
            return
        # Asked again with less grace: the sooner end counts.
        if self._grace_s() < self._terminating_grace_s:
            self._terminating_grace_s = self._grace_s()
            if self._kill_timer is not None:
                self._kill_timer.cancel()
            self._kill_timer = asyncio.get_running_loop().call_later(
                self._terminating_grace_s, self._signal, signal.SIGKILL
            )

    async def remove(self, number: signal.Signals = signal.SIGKILL, grace_s: float = 0.0) -> None:
        """End everything at once, as when the object is gone or the machine is lost."""
        if self.gone:
            return
        self.gone = True
        self._host.on_readiness()
        current = asyncio.current_task()
        for task in self._tasks:
            if task is not current:
                task.cancel()
        self._signal(number)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_s or None):
                await self._processes_ended()
        self._signal(signal.SIGKILL)
        await self._processes_ended()
        if self._kill_timer is not None:
            self._kill_timer.cancel()
        if self._place is not None:
            self._host.volumes.forget(self._place)
            self._host.addresses.release(self._place.pod_ip)
        folder = self._host.pod_folder(uid(self.object))
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    # Its life.

    async def _live(self) -> None:
        await self._start_up()
        self._place = await self._settle()
        self._prepare_containers(self._place)
        self._changed.set()
        for one in self._init_containers:
            await one.run()
            ended = one.view.state
            if isinstance(ended, Terminated) and ended.exit_code:
                return
        for one in self.containers:
            self._spawn(f"container {one.view.name}", one.run())
        await self._refresh_volumes(self._place)

    async def _start_up(self) -> None:
        """Take as long as pulling the image and starting the node would have taken."""
        self._changed.set()
        ran_before = any(
            one.get("containerID") for one in items(self._taken_over, "status", "containerStatuses")
        )
        if not ran_before:
            await asyncio.sleep(self._pool.startup_s)

    async def _settle(self) -> PodPlace:
        """An address and a folder with all volumes; asked for until they can be had."""
        backoff = BackOff()
        address: str | None = None
        while True:
            try:
                address = address or self._take_address()
                place = PodPlace(
                    pod=self.object,
                    folder=self._host.pod_folder(uid(self.object)),
                    pod_ip=address,
                    host_ip=nodes.HOST_IP,
                    allocatable=nodes.allocatable(self._pool),
                )
                self._place = place
                prepare_folder(place.folder)
                await self._host.volumes.write(place)
                return place
            except (
                CannotMountError,
                UnknownFieldError,
                AddressesExhaustedError,
                ApiError,
            ) as error:
                backoff = backoff.after_failure()
                text = f"MountVolume.SetUp failed: {error}"
                self._host.events.record("Pod", self.object, "FailedMount", text, warning=True)
                await asyncio.sleep(backoff.wait_s / 2)

    def _take_address(self) -> str:
        before = earlier_address(self._taken_over)
        if before is not None and self._host.addresses.reserve(before):
            return before
        return self._host.addresses.allocate()

    def _prepare_containers(self, place: PodPlace) -> None:
        policy = self._restart_policy()
        self._init_containers = [
            Container(
                spec,
                place,
                self._host,
                restarts="Never" if policy == "Never" else "OnFailure",
                view=view,
                on_change=self._on_change,
            )
            for spec, view in self._seeds("initContainers")
        ]
        self.containers = [
            Container(
                spec,
                place,
                self._host,
                restarts=policy,
                view=view,
                on_change=self._on_change,
            )
            for spec, view in self._seeds("containers")
        ]

    async def _refresh_volumes(self, place: PodPlace) -> None:
        """Bring new tokens and changed ConfigMaps for as long as the pod lives."""
        if not items(self.object, "spec", "volumes"):
            return
        while True:
            await asyncio.sleep(REFRESH_S)
            try:
                await self._host.volumes.write(place)
            except (CannotMountError, ApiError) as error:
                _log.warning("volumes of %s are kept as they were: %s", self, error)

    # Its end.

    def _terminate(self) -> None:
        self.terminating = True
        self._terminating_grace_s = self._grace_s()
        self._host.on_readiness()
        self._spawn("termination", self._end_and_delete())

    async def _end_and_delete(self) -> None:
        for task in [one for one in self._tasks if one.get_name() in ("life", "publisher")]:
            task.cancel()
        if self.containers:
            await self._publish_until_told()
            text = f"Stopping containers of pod {name(self.object)}"
            self._host.events.record("Pod", self.object, "Killing", text, warning=False)
        every = [*self._init_containers, *self.containers]
        await asyncio.gather(*(one.stop(self._terminating_grace_s) for one in every))
        # Lets each run take note of its end before its task is cancelled.
        await asyncio.sleep(0)
        for task in self._tasks:
            if task is not asyncio.current_task():
                task.cancel()
        if any(one.view.container_id for one in every):
            await self._publish_until_told()
        await self._delete_object()

    async def _delete_object(self) -> None:
        path = f"/api/v1/namespaces/{namespace(self.object)}/pods/{name(self.object)}"
        while True:
            try:
                await self._host.api.delete(path, grace_s=0, uid=uid(self.object))
                return
            except ApiError as error:
                _log.warning("%s cannot be deleted yet: %s", self, error)
                await asyncio.sleep(_RETRY_S)

    # Telling the API server.

    def _on_change(self) -> None:
        self._changed.set()
        self._host.on_readiness()

    async def _publish_changes(self) -> None:
        while True:
            await self._changed.wait()
            await self._publish_until_told()

    async def _publish_until_told(self) -> None:
        """Write the status if it differs from what was written last; retried while it cannot be."""
        async with self._publishing:
            while True:
                self._changed.clear()
                status = pod_status.pod_status(self._view(), self._published, now())
                if status == self._published:
                    return
                try:
                    await self._host.api.patch(
                        f"/api/v1/namespaces/{namespace(self.object)}/pods/{name(self.object)}/status",
                        {"metadata": {"uid": uid(self.object)}, "status": status},
                    )
                except (NotFoundError, ConflictError):
                    return
                except ApiError as error:
                    _log.warning("status of %s cannot be written yet: %s", self, error)
                    await asyncio.sleep(_RETRY_S)
                    continue
                self._published = status
                return

    def _view(self) -> PodView:
        return PodView(
            restart_policy=self._restart_policy(),
            containers=self._container_views("containers", self.containers),
            init_containers=self._container_views("initContainers", self._init_containers),
            started_at=self._started_at,
            host_ip=nodes.HOST_IP,
            pod_ip=self.address,
            terminating=self.terminating,
        )

    def _container_views(self, group: str, known: list[Container]) -> tuple[ContainerView, ...]:
        if known:
            return tuple(one.view for one in known)
        return tuple(view for _, view in self._seeds(group))

    def _seeds(self, group: str) -> list[tuple[Json, ContainerView]]:
        """Each container's spec, with how it is before its first run by this agent."""
        statuses = {"containers": "containerStatuses", "initContainers": "initContainerStatuses"}
        return [
            (spec, seeded_view(spec, self._taken_over, statuses[group], self._seen_at))
            for spec in items(self._taken_over, "spec", group)
        ]

    # Small things.

    def _is_over(self) -> bool:
        return part(self.object, "status").get("phase") in ("Succeeded", "Failed")

    def _restart_policy(self) -> str:
        return str(part(self.object, "spec").get("restartPolicy") or "Always")

    def _grace_s(self) -> float:
        return float(self.object["metadata"].get("deletionGracePeriodSeconds") or 0)

    def _signal(self, number: signal.Signals) -> None:
        for one in [*self._init_containers, *self.containers]:
            one.kill(number)

    async def _processes_ended(self) -> None:
        for one in [*self._init_containers, *self.containers]:
            await one.ended()

    def _spawn(self, title: str, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name=title)
        self._tasks.append(task)
        task.add_done_callback(_report)

    def __str__(self) -> str:
        return f"{namespace(self.object)}/{name(self.object)}"


def _report(task: asyncio.Task[None]) -> None:
    """A defect in one pod's life is told at once and does not end the others."""
    if not task.cancelled() and task.exception() is not None:
        _log.error("pod task %r ended by a defect", task.get_name(), exc_info=task.exception())
