"""KWOK beside a running cluster: nodes that exist as objects only, for thousands of pods."""

from __future__ import annotations

import os
import pathlib
import time

from farthing_local import (
    build,
    cluster,
    components,
    errors,
    health,
    home,
    ports,
    processes,
    progress,
    recipes,
    state,
)
from farthing_local.components import Layout

# A node with this label is KWOK's; the node agent leaves it alone.
LABEL = "farthing.dev/simulated"
_STAGES = pathlib.Path(__file__).parent / "defaults" / "kwok_stages.yaml"
# Pods that nobody can connect to; of a range reserved for documentation and tests (RFC 2544).
_POD_RANGE = "198.18.0.1/15"
_NODE_ADDRESS = "198.18.0.1"
_LEASE_S = 40
_HEALTHY_WITHIN_S = 60.0
_POLL_S = 0.05


def start(where: pathlib.Path) -> state.Component:
    """Play every node labeled farthing.dev/simulated=true, until the cluster goes down.

    Builds KWOK first where it is not built yet; finds it when it runs already.
    """
    layout = Layout(home=where.absolute())
    program = build.program(recipes.KWOK, "kwok")
    with cluster.lock(layout), progress.Progress("KWOK") as shown:
        running = cluster.require_running(layout)
        present = running.component(components.KWOK)
        if present is not None and processes.is_alive(present.process):
            return present
        (port,) = ports.free_ports(1)
        log = layout.log(components.KWOK)
        process = processes.start(
            [str(program), *_arguments(layout, port)],
            env={"PATH": os.defpath, "HOME": str(layout.home)},
            log=log,
        )
        component = state.Component(name=components.KWOK, process=process, port=port)
        state.write(layout.home, running.with_component(component))
        _wait(layout, component, shown)
    return component


def _arguments(layout: Layout, port: int) -> list[str]:
    return [
        f"--kubeconfig={layout.component_kubeconfig(components.KWOK)}",
        f"--config={_STAGES}",
        "--manage-all-nodes=false",
        f"--manage-nodes-with-label-selector={LABEL}=true",
        f"--cidr={_POD_RANGE}",
        f"--node-ip={_NODE_ADDRESS}",
        f"--node-lease-duration-seconds={_LEASE_S}",
        f"--server-address={components.LOOPBACK}:{port}",
    ]


def _wait(layout: Layout, component: state.Component, shown: progress.Progress) -> None:
    deadline = time.monotonic() + _HEALTHY_WITHIN_S
    while (problem := health.problem(layout, component)) is not None:
        ended = not processes.is_alive(component.process)
        if ended or time.monotonic() > deadline:
            processes.stop([component.process], patience_s=1)
            raise errors.ComponentError(
                f"KWOK does not run: {home.cause(layout.log(component.name))}.",
                next_step=f"Its log is {layout.log(component.name)}.",
            )
        shown.show(f"waiting ({problem})")
        time.sleep(_POLL_S)
