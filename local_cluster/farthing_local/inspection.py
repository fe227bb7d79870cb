"""What a cluster looks like from outside: its components, its nodes."""

from __future__ import annotations

import pathlib
from dataclasses import dataclass
from typing import Any

from farthing_local import components, errors, health, http_requests, processes, state
from farthing_local.components import Layout

_POOL = "farthing.dev/pool"
_CAPACITY_TYPE = "farthing.dev/capacity-type"
_GPUS = "nvidia.com/gpu"


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentStatus:
    """`problem` is none when the component is healthy."""

    name: str
    pid: int
    port: int | None
    problem: str | None
    rss_mib: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStatus:
    name: str
    pool: str
    capacity_type: str
    ready: bool
    gpus: str
    taints: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterStatus:
    """No server where no cluster is on record."""

    home: pathlib.Path
    server: str | None
    is_ready: bool
    components: tuple[ComponentStatus, ...]
    nodes: tuple[NodeStatus, ...]

    @property
    def is_healthy(self) -> bool:
        return self.is_ready and all(one.problem is None for one in self.components)


def status(where: pathlib.Path) -> ClusterStatus:
    """How the cluster of this home is; asks every component."""
    layout = Layout(home=where.absolute())
    recorded = state.read(layout.home)
    if recorded is None:
        return ClusterStatus(home=where, server=None, is_ready=False, components=(), nodes=())
    several = tuple(_component(layout, one) for one in recorded.components)
    server = recorded.component(components.API_SERVER)
    answers = any(one.name == components.API_SERVER and one.problem is None for one in several)
    return ClusterStatus(
        home=where,
        server=recorded.server,
        is_ready=recorded.is_ready,
        components=several,
        nodes=_nodes(layout, server) if server is not None and answers else (),
    )


def interrupt(where: pathlib.Path, request: dict[str, object]) -> Any:
    """Ask the node agent to take a node away as a cloud does; its answer."""
    layout = Layout(home=where.absolute())
    try:
        answer = http_requests.over_socket(layout.agent_socket, "POST", "/interrupt", request)
    except http_requests.NoAnswerError as error:
        raise errors.ComponentError(
            f"The node agent of {layout.home} does not answer ({error}).",
            next_step="Start the cluster with: farthing local up.",
        ) from error
    document = answer.document()
    if answer.status == 400:
        raise errors.SettingError(f"{document['error']}.")
    if answer.status != 200:
        raise errors.ComponentError(f"The node agent cannot do that: {document['error']}.")
    return document


def _component(layout: Layout, component: state.Component) -> ComponentStatus:
    alive = processes.is_alive(component.process)
    return ComponentStatus(
        name=component.name,
        pid=component.process.pid,
        port=component.port,
        problem=health.problem(layout, component) if alive else "ended",
        rss_mib=round(processes.rss_mib(component.process), 1) if alive else 0.0,
    )


def _nodes(layout: Layout, server: state.Component) -> tuple[NodeStatus, ...]:
    context = http_requests.client_context(layout.pki)
    try:
        answer = http_requests.over_tls(server.port or 0, "/api/v1/nodes", context)
        return tuple(_node(item) for item in answer.document()["items"])
    except http_requests.NoAnswerError:
        return ()


def _node(item: dict[str, Any]) -> NodeStatus:
    labels = item["metadata"].get("labels", {})
    conditions = item.get("status", {}).get("conditions", [])
    taints = item.get("spec", {}).get("taints", [])
    return NodeStatus(
        name=item["metadata"]["name"],
        pool=labels.get(_POOL, ""),
        capacity_type=labels.get(_CAPACITY_TYPE, ""),
        ready=any(one["type"] == "Ready" and one["status"] == "True" for one in conditions),
        gpus=item.get("status", {}).get("allocatable", {}).get(_GPUS, "0"),
        taints=tuple(f"{one['key']}:{one['effect']}" for one in taints),
    )
