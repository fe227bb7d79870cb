"""What an agent that has just started takes over from the status an earlier one wrote. Pure."""

from __future__ import annotations

import datetime

from farthing_local.agent.documents import Json, items, part
from farthing_local.agent.pod_status import ContainerView, Terminated

# How a kubelet reports a container whose end nobody saw.
_UNKNOWN_EXIT_CODE = 137
_UNKNOWN_REASON = "ContainerStatusUnknown"


def earlier_address(pod: Json) -> str | None:
    return part(pod, "status").get("podIP")


def earlier_start(pod: Json) -> datetime.datetime | None:
    started = part(pod, "status").get("startTime")
    return None if started is None else datetime.datetime.fromisoformat(started)


def seeded_view(spec: Json, pod: Json, group: str, at: datetime.datetime) -> ContainerView:
    """A container as it is before its first run by this agent.

    One that an earlier agent had running was ended with it: that counts as a restart.
    """
    blank = ContainerView(name=str(spec["name"]), image=str(spec["image"]))
    for status in items(pod, "status", group):
        if status["name"] == blank.name and status.get("containerID"):
            return ContainerView(
                name=blank.name,
                image=blank.image,
                restart_count=int(status.get("restartCount", 0)) + 1,
                last=Terminated(
                    exit_code=_UNKNOWN_EXIT_CODE,
                    reason=_UNKNOWN_REASON,
                    started_at=_started_at(status, at),
                    finished_at=at,
                    container_id=str(status["containerID"]),
                ),
            )
    return blank


def _started_at(status: Json, at: datetime.datetime) -> datetime.datetime:
    started = part(status, "state", "running").get("startedAt")
    return at if started is None else datetime.datetime.fromisoformat(started)
