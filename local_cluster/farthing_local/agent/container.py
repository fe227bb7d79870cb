"""One container of a pod: its runs, one process after the other, and the probes of each."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import datetime
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from farthing_local.agent import probing
from farthing_local.agent.api import ApiError
from farthing_local.agent.backoff import BackOff
from farthing_local.agent.container_logs import ContainerLogs
from farthing_local.agent.documents import Json, name, now, part, uid
from farthing_local.agent.environment import container_variables
from farthing_local.agent.expansion import command_line
from farthing_local.agent.fields import UnknownFieldError
from farthing_local.agent.host import Host
from farthing_local.agent.pod_status import ContainerView, Running, Terminated, Waiting
from farthing_local.agent.probes import ProbeKind, ProbeState, Verdict
from farthing_local.agent.process import CannotStartError, Process
from farthing_local.agent.settings import Image
from farthing_local.agent.volumes import CannotMountError, PodPlace

_BOUND_LOGS_EVERY_S = 5.0
# What a hook that used up the whole grace period still leaves for SIGTERM, as a kubelet does.
_LEAST_AFTER_HOOK_S = 2.0
_START_ERROR = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class _Program:
    argv: tuple[str, ...]
    variables: dict[str, str]


class Container:
    """Runs until it ends for good by its restart policy, or is ended from outside."""

    def __init__(
        self,
        spec: Json,
        place: PodPlace,
        host: Host,
        *,
        restarts: str,
        view: ContainerView,
        on_change: Callable[[], None],
    ) -> None:
        self.spec, self.view = spec, view
        self._place, self._host = place, host
        self._restarts, self._on_change = restarts, on_change
        self.logs = ContainerLogs(place.folder / "logs" / str(spec["name"]))
        self._grace_s = float(part(place.pod, "spec").get("terminationGracePeriodSeconds", 30))
        self._process: Process | None = None
        self._program = _Program(argv=(), variables={})
        self._watchers: list[asyncio.Task[None]] = []
        self._ending: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()

    # The life of the container.

    async def run(self) -> None:
        backoff = BackOff()
        while not self._stopping.is_set():
            program = await self._prepare()
            began_s = asyncio.get_running_loop().time()
            ended = await self._one_run(program)
            if self._stopping.is_set() or not self._runs_again(ended):
                return
            backoff = backoff.after_failure(ran_s=asyncio.get_running_loop().time() - began_s)
            message = (
                f"back-off {backoff.wait_s:g}s restarting failed container={self.view.name} "
                f"pod={name(self._place.pod)}_{self._place.pod['metadata']['namespace']}"
            )
            self._show(state=Waiting(reason="CrashLoopBackOff", message=message), last=ended)
            self._event("BackOff", message, warning=True)
            await asyncio.sleep(backoff.wait_s)
            self._show(restart_count=self.view.restart_count + 1)

    async def stop(self, grace_s: float) -> None:
        """End it for good: hook, SIGTERM, and SIGKILL after the grace period."""
        self._stopping.set()
        self._stop_watching()
        process = self._process
        if process is not None and not process.has_ended:
            await self._end(process, grace_s)

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Signal the running process, if any, and start no other."""
        self._stopping.set()
        self._stop_watching()
        if self._process is not None:
            self._process.signal(number)

    async def ended(self) -> None:
        """Wait until no process of this container runs."""
        if self._process is not None:
            await self._process.wait()

    @property
    def is_running(self) -> bool:
        return self._process is not None and not self._process.has_ended

    def _runs_again(self, ended: Terminated) -> bool:
        if self._restarts == "OnFailure":
            return ended.exit_code != 0
        return self._restarts == "Always"

    # Getting ready to start.

    async def _prepare(self) -> _Program:
        backoff = BackOff()
        while True:
            image = await self._image()
            try:
                variables = await container_variables(
                    self._place, self.spec, image, self._host.volumes
                )
            except (CannotMountError, UnknownFieldError, ApiError) as error:
                backoff = backoff.after_failure()
                reason = "CreateContainerConfigError"
                self._show(state=Waiting(reason=reason, message=str(error)))
                self._event("Failed", f"Error: {error}", warning=True)
                await asyncio.sleep(backoff.wait_s)
                continue
            argv = command_line(
                image.argv,
                self.spec.get("command") or [],
                self.spec.get("args") or [],
                variables,
            )
            return _Program(argv=argv, variables=variables)

    async def _image(self) -> Image:
        backoff = BackOff()
        reference = str(self.spec["image"])
        while True:
            image = self._host.images.find(reference)
            if image is not None:
                return image
            message = f"no local program stands for the image {reference!r}"
            self._show(state=Waiting(reason="ErrImagePull", message=message))
            self._event("Failed", f"Failed to pull image: {message}", warning=True)
            backoff = backoff.after_failure()
            await asyncio.sleep(1.0)
            message = f"Back-off pulling image {reference!r}: {message}"
            self._show(state=Waiting(reason="ImagePullBackOff", message=message))
            await asyncio.sleep(backoff.wait_s)

    # One run.

    async def _one_run(self, program: _Program) -> Terminated:
        started_at = now()
        container_id = (
            f"process://{uid(self._place.pod)}-{self.view.name}-{self.view.restart_count}"
        )
        try:
            process = self._launch(program)
        except CannotStartError as error:
            self._event("Failed", f"Error: {error}", warning=True)
            return self._finish(_START_ERROR, "StartError", started_at, container_id)
        self._process, self._ending = process, None
        self._show(
            state=Running(started_at=started_at),
            container_id=container_id,
            started="startupProbe" not in self.spec,
            ready="startupProbe" not in self.spec and "readinessProbe" not in self.spec,
        )
        self._event("Started", f"Started container {self.view.name}")
        self._watch_over(process)
        code = await process.wait()
        self._stop_watching()
        return self._finish(code, "Error" if code else "Completed", started_at, container_id)

    def _launch(self, program: _Program) -> Process:
        self._program = program
        with self.logs.open_run(self.view.restart_count) as output:
            return self._host.records.start(
                program.argv,
                env=program.variables,
                cwd=self._place.folder / "home",
                output=output,
            )

    def _finish(
        self, code: int, reason: str, started_at: datetime.datetime, container_id: str
    ) -> Terminated:
        ended = Terminated(
            exit_code=code,
            reason=reason,
            started_at=started_at,
            finished_at=now(),
            container_id=container_id,
        )
        self._show(state=ended, ready=False, started=False, container_id=container_id)
        return ended

    def _in_container(self, argv: Sequence[str]) -> Process:
        """A command beside the process, with its variables; what it prints is thrown away."""
        with open("/dev/null", "wb") as nowhere:
            return self._host.records.start(
                argv, env=self._program.variables, cwd=self._place.folder / "home", output=nowhere
            )

    # Probes.

    def _watch_over(self, process: Process) -> None:
        self._watchers = [asyncio.create_task(self._bound_logs())]
        if "startupProbe" in self.spec:
            self._probe(ProbeKind.STARTUP, process)
        else:
            self._probe_started(process)

    def _probe_started(self, process: Process) -> None:
        for kind in (ProbeKind.READINESS, ProbeKind.LIVENESS):
            if f"{kind}Probe" in self.spec:
                self._probe(kind, process)

    def _probe(self, kind: ProbeKind, process: Process) -> None:
        probe = self.spec[f"{kind}Probe"]

        def on_answer(state: ProbeState, seen: str) -> None:
            if self._process is not process or process.has_ended or self._stopping.is_set():
                return
            if not state.last_passed:
                text = f"{kind.capitalize()} probe failed: {seen}"
                self._event("Unhealthy", text, warning=True)
            self._heed(kind, state, process)

        self._watchers.append(
            asyncio.create_task(
                probing.probe_until_cancelled(kind, probe, self._target(), on_answer)
            )
        )

    def _heed(self, kind: ProbeKind, state: ProbeState, process: Process) -> None:
        """Do what a verdict asks for."""
        if kind is ProbeKind.READINESS:
            self._show(ready=state.verdict is Verdict.PASSED)
        elif state.verdict is Verdict.FAILED:
            self._restart(kind, process)
        elif kind is ProbeKind.STARTUP and state.verdict is Verdict.PASSED:
            if not self.view.started:
                self._show(started=True, ready="readinessProbe" not in self.spec)
                self._probe_started(process)
            # The startup probe has done its part; its task, which runs this, is not needed.
            self._watchers.pop(1).cancel()

    def _restart(self, kind: ProbeKind, process: Process) -> None:
        if self._ending is not None:
            return
        message = f"Container {self.view.name} failed {kind} probe, will be restarted"
        self._event("Killing", message)
        grace = self.spec[f"{kind}Probe"].get("terminationGracePeriodSeconds")
        grace_s = self._grace_s if grace is None else float(grace)
        self._ending = asyncio.create_task(self._end(process, grace_s))

    async def _end(self, process: Process, grace_s: float) -> None:
        loop = asyncio.get_running_loop()
        ends_at_s = loop.time() + grace_s
        hook = part(self.spec, "lifecycle", "preStop")
        if hook and grace_s > 0:
            passed, seen = await probing.perform(hook, self._target(), grace_s)
            if not passed:
                self._event("FailedPreStopHook", f"PreStopHook failed: {seen}", warning=True)
            ends_at_s = max(ends_at_s, loop.time() + _LEAST_AFTER_HOOK_S)
        process.signal(signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(ends_at_s):
                await process.wait()
        process.signal(signal.SIGKILL)
        await process.wait()

    def _target(self) -> probing.Target:
        return probing.Target(
            container=self.spec,
            address=self._place.pod_ip,
            run=self._in_container,
            session=self._host.probe_session,
        )

    async def _bound_logs(self) -> None:
        while True:
            await asyncio.sleep(_BOUND_LOGS_EVERY_S)
            self.logs.bound(self.view.restart_count)

    def _stop_watching(self) -> None:
        for task in self._watchers:
            task.cancel()
        self._watchers = []

    # Telling.

    def _show(self, **changes: Any) -> None:
        view = dataclasses.replace(self.view, **changes)
        if view != self.view:
            self.view = view
            self._on_change()

    def _event(self, reason: str, message: str, *, warning: bool = False) -> None:
        self._host.events.record("Pod", self._place.pod, reason, message, warning=warning)
