"""What the agent says of a pod, given what it knows of the pod's containers."""

from __future__ import annotations

import datetime

import pytest

from farthing_local.agent.documents import Json
from farthing_local.agent.pod_status import (
    ContainerView,
    Phase,
    PodView,
    Running,
    Terminated,
    Waiting,
    is_ready,
    phase,
    pod_status,
)
from farthing_local.agent.seeds import seeded_view

AT = datetime.datetime(2026, 3, 1, 12, 0, 0, tzinfo=datetime.UTC)
LATER = AT + datetime.timedelta(seconds=30)
RUNNING = Running(started_at=AT)


def ended(code: int) -> Terminated:
    reason = "Error" if code else "Completed"
    return Terminated(exit_code=code, reason=reason, started_at=AT, finished_at=LATER)


def container(state: Waiting | Running | Terminated, **more: object) -> ContainerView:
    return ContainerView(name="server", image="i:1", state=state, **more)  # type: ignore[arg-type]


def pod(*containers: ContainerView, policy: str = "Always", **more: object) -> PodView:
    return PodView(
        restart_policy=policy,
        containers=containers,
        started_at=AT,
        host_ip="127.0.0.1",
        **more,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        (pod(container(Waiting())), Phase.PENDING),
        (pod(container(RUNNING), container(Waiting())), Phase.PENDING),
        (pod(container(RUNNING)), Phase.RUNNING),
        (pod(container(Waiting(reason="CrashLoopBackOff"), last=ended(1))), Phase.RUNNING),
        (pod(container(ended(0))), Phase.RUNNING),
        (pod(container(ended(0)), policy="Never"), Phase.SUCCEEDED),
        (pod(container(ended(3)), policy="Never"), Phase.FAILED),
        (pod(container(ended(3)), policy="OnFailure"), Phase.RUNNING),
        (pod(container(ended(0)), container(RUNNING), policy="Never"), Phase.RUNNING),
        (pod(container(ended(0)), terminating=True), Phase.SUCCEEDED),
        (pod(container(ended(137)), terminating=True), Phase.FAILED),
        (
            pod(
                container(Waiting()),
                policy="Never",
                init_containers=(container(ended(1)),),
            ),
            Phase.FAILED,
        ),
    ],
    ids=[
        "waiting",
        "one still waiting",
        "running",
        "backing off",
        "to be restarted",
        "succeeded",
        "failed",
        "to be restarted on failure",
        "one still running",
        "ended well while terminating",
        "killed while terminating",
        "init failed",
    ],
)
def test_the_phase_follows_from_the_containers(view: PodView, expected: Phase) -> None:
    assert phase(view) is expected


def test_a_terminating_pod_is_not_ready_whatever_its_probe_says() -> None:
    ready = container(RUNNING, ready=True, started=True)
    assert is_ready(pod(ready))
    assert not is_ready(pod(ready, terminating=True))


def condition(kind: str, status: str, since: str, reason: str | None, message: str | None) -> Json:
    return {
        "type": kind,
        "status": status,
        "lastTransitionTime": since,
        "reason": reason,
        "message": message,
    }


BEGAN, LATER_TEXT = "2026-03-01T12:00:00Z", "2026-03-01T12:00:30Z"
RUNNING_STATUS = {
    "name": "server",
    "image": "i:1",
    "imageID": "i:1",
    "containerID": "process://1",
    "ready": True,
    "started": True,
    "restartCount": 2,
    "state": {"running": {"startedAt": BEGAN}},
    "lastState": {
        "terminated": {
            "exitCode": 1,
            "reason": "Error",
            "startedAt": BEGAN,
            "finishedAt": LATER_TEXT,
        }
    },
}


def test_a_running_pod_is_told_whole() -> None:
    view = pod(
        container(
            RUNNING,
            last=ended(1),
            restart_count=2,
            ready=True,
            started=True,
            container_id="process://1",
        ),
        pod_ip="127.7.1.1",
    )
    before = {"conditions": [{"type": "PodScheduled", "status": "True", "lastTransitionTime": "x"}]}
    assert pod_status(view, before, LATER) == {
        "phase": "Running",
        "hostIP": "127.0.0.1",
        "hostIPs": [{"ip": "127.0.0.1"}],
        "podIP": "127.7.1.1",
        "podIPs": [{"ip": "127.7.1.1"}],
        "startTime": BEGAN,
        "conditions": [
            condition("PodReadyToStartContainers", "True", LATER_TEXT, None, None),
            condition("Initialized", "True", LATER_TEXT, None, None),
            condition("Ready", "True", LATER_TEXT, None, None),
            condition("ContainersReady", "True", LATER_TEXT, None, None),
            condition("PodScheduled", "True", "x", None, None),
        ],
        "containerStatuses": [RUNNING_STATUS],
    }


def test_a_condition_keeps_the_time_of_its_last_change() -> None:
    waiting = pod(container(RUNNING))
    first = pod_status(waiting, {}, AT)
    assert pod_status(waiting, first, LATER) == first
    ready = pod_status(pod(container(RUNNING, ready=True)), first, LATER)
    since = {one["type"]: one["lastTransitionTime"] for one in ready["conditions"]}
    assert since["Ready"] == "2026-03-01T12:00:30Z"
    assert since["Initialized"] == "2026-03-01T12:00:00Z"


def test_what_an_earlier_agent_ran_counts_as_a_restart_with_an_unknown_end() -> None:
    spec = {"name": "server", "image": "i:1"}
    status = {
        "name": "server",
        "containerID": "process://1",
        "restartCount": 4,
        "state": {"running": {"startedAt": "2026-03-01T12:00:00Z"}},
    }
    taken_over = {"status": {"containerStatuses": [status]}}
    assert seeded_view(spec, taken_over, "containerStatuses", LATER) == ContainerView(
        name="server",
        image="i:1",
        restart_count=5,
        last=Terminated(
            exit_code=137,
            reason="ContainerStatusUnknown",
            started_at=AT,
            finished_at=LATER,
            container_id="process://1",
        ),
    )
    assert seeded_view(spec, {}, "containerStatuses", LATER) == container(Waiting())
