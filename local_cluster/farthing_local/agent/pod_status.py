"""From what is known about a pod's processes to the status document that says so.

Pure: the instant is an argument, and what was said before is one too, because a condition keeps
the time of its last change.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field
from enum import StrEnum

from farthing_local.agent.documents import Json, timestamp


class Phase(StrEnum):
    PENDING = "Pending"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    reason: str = "ContainerCreating"
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    started_at: datetime.datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Terminated:
    exit_code: int
    reason: str
    started_at: datetime.datetime
    finished_at: datetime.datetime
    container_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerView:
    """One container as a kubelet would describe it."""

    name: str
    image: str
    state: Waiting | Running | Terminated = field(default_factory=Waiting)
    last: Terminated | None = None
    restart_count: int = 0
    started: bool = False
    ready: bool = False
    container_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PodView:
    """One pod; `restart_policy` decides whether an ended container is the end of it."""

    restart_policy: str
    containers: tuple[ContainerView, ...]
    init_containers: tuple[ContainerView, ...] = ()
    started_at: datetime.datetime
    host_ip: str
    pod_ip: str | None = None
    terminating: bool = False


def phase(view: PodView) -> Phase:
    """Pending until every container has run once, then Running until none will run again."""
    if any(_failed_for_good(one, view.restart_policy) for one in view.init_containers):
        return Phase.FAILED
    states = [container.state for container in view.containers]
    ended = [state for state in states if isinstance(state, Terminated)]
    over = view.restart_policy != "Always" or view.terminating
    if over and ended and len(ended) == len(states):
        failed = any(state.exit_code for state in ended)
        if view.restart_policy != "OnFailure" or not failed or view.terminating:
            return Phase.FAILED if failed else Phase.SUCCEEDED
    if all(_has_run(container) for container in view.containers):
        return Phase.RUNNING
    return Phase.PENDING


def _failed_for_good(container: ContainerView, restart_policy: str) -> bool:
    state = container.state
    return restart_policy == "Never" and isinstance(state, Terminated) and state.exit_code != 0


def _has_run(container: ContainerView) -> bool:
    return not isinstance(container.state, Waiting) or container.last is not None


def pod_status(view: PodView, before: Json, at: datetime.datetime) -> Json:
    """The status to publish; `before` is the one published last, or the API server's."""
    current = phase(view)
    document: Json = {
        "phase": current.value,
        "hostIP": view.host_ip,
        "hostIPs": [{"ip": view.host_ip}],
        "startTime": timestamp(view.started_at),
        "conditions": _conditions(view, current, before, at),
        "containerStatuses": [_container(one, view.terminating) for one in view.containers],
    }
    if view.init_containers:
        document["initContainerStatuses"] = [
            _container(one, view.terminating) for one in view.init_containers
        ]
    if view.pod_ip is not None:
        document["podIP"] = view.pod_ip
        document["podIPs"] = [{"ip": view.pod_ip}]
    return document


def is_ready(view: PodView) -> bool:
    return (
        phase(view) is Phase.RUNNING
        and not view.terminating
        and all(container.ready for container in view.containers)
    )


def _conditions(view: PodView, current: Phase, before: Json, at: datetime.datetime) -> list[Json]:
    initialized = all(
        isinstance(one.state, Terminated) and one.state.exit_code == 0
        for one in view.init_containers
    )
    ready = is_ready(view)
    unready = [one.name for one in view.containers if not one.ready]
    because: Json = {}
    if current in (Phase.SUCCEEDED, Phase.FAILED):
        because = {"reason": "PodCompleted" if current is Phase.SUCCEEDED else "PodFailed"}
    elif not ready:
        because = {
            "reason": "ContainersNotReady",
            "message": f"containers with unready status: [{' '.join(unready)}]",
        }
        if view.terminating and not unready:
            because = {"reason": "PodTerminating", "message": "the pod is being deleted"}
    started = view.pod_ip is not None
    truths: list[tuple[str, bool, Json]] = [
        ("PodReadyToStartContainers", started, {}),
        ("Initialized", initialized, {} if initialized else {"reason": "ContainersNotInitialized"}),
        ("Ready", ready, because),
        ("ContainersReady", ready, because),
        ("PodScheduled", True, {}),
    ]
    earlier = {one["type"]: one for one in before.get("conditions") or []}
    return [
        _condition(kind, truth, reason, earlier.get(kind), at) for kind, truth, reason in truths
    ]


def _condition(
    kind: str, truth: bool, reason: Json, earlier: Json | None, at: datetime.datetime
) -> Json:
    status = "True" if truth else "False"
    since = timestamp(at)
    if earlier is not None and earlier.get("status") == status:
        since = earlier.get("lastTransitionTime") or since
    # Reason and message are sent as null where there is none: the patch then removes old ones.
    return {
        "type": kind,
        "status": status,
        "lastTransitionTime": since,
        "reason": reason.get("reason"),
        "message": reason.get("message"),
    }


def _container(view: ContainerView, terminating: bool) -> Json:
    document: Json = {
        "name": view.name,
        "image": view.image,
        "imageID": view.image if view.container_id else "",
        "ready": view.ready and not terminating,
        "started": view.started,
        "restartCount": view.restart_count,
        "state": _state(view.state),
        "lastState": {} if view.last is None else _state(view.last),
    }
    if view.container_id:
        document["containerID"] = view.container_id
    return document


def _state(state: Waiting | Running | Terminated) -> Json:
    if isinstance(state, Waiting):
        message = {"message": state.message} if state.message else {}
        return {"waiting": {"reason": state.reason, **message}}
    if isinstance(state, Running):
        return {"running": {"startedAt": timestamp(state.started_at)}}
    return {
        "terminated": {
            "exitCode": state.exit_code,
            "reason": state.reason,
            "startedAt": timestamp(state.started_at),
            "finishedAt": timestamp(state.finished_at),
            **({"containerID": state.container_id} if state.container_id else {}),
        }
    }
