"""Up, down and status of one local cluster, whose whole state is one folder."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import pathlib
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from farthing_local import (
    build,
    components,
    credentials,
    disk,
    errors,
    health,
    home,
    locks,
    paths,
    pools,
    ports,
    processes,
    progress,
    recipes,
    state,
)
from farthing_local.components import Layout

_HEALTHY_WITHIN_S = 120.0
_POLL_S = 0.05
_ATTEMPTS = 3
_PORT_COUNT = len(dataclasses.fields(components.Ports))
_PORT_TAKEN = "address already in use"
# The agent gives its pods a few seconds to end; the others have nothing worth saving.
_PATIENCE_S = {components.NODE_AGENT: 15.0}
_DEFAULT_PATIENCE_S = 3.0
# What stands later here is needed by what stands before, and ends after it.
_LAST_TO_STOP = (
    (components.CONTROLLER_MANAGER, components.SCHEDULER, components.API_SERVER),
    (components.ETCD,),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What `up` is to bring up; without an agent there are no nodes and no pods run."""

    home: pathlib.Path
    nodes: pathlib.Path = pools.DEFAULT_NODES
    images: pathlib.Path = pools.DEFAULT_IMAGES
    audit: bool = False
    agent: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """A cluster that runs."""

    layout: Layout
    server: str
    binaries: pathlib.Path
    # Whether this `up` started it, rather than finding it running.
    is_new: bool

    @property
    def kubeconfig(self) -> pathlib.Path:
        return self.layout.kubeconfig

    @property
    def kubectl(self) -> pathlib.Path:
        return self.binaries / "kubectl"


def up(
    wanted: Wanted, *, choose_ports: Callable[[int], tuple[int, ...]] = ports.free_ports
) -> Cluster:
    """Bring a cluster up and wait until every part of it is healthy; finds a running one.

    Starts over with other ports where another program took one in between.
    """
    paths.require_loopback_range()
    layout = Layout(home=wanted.home.absolute())
    home.check(layout)
    pools.check(wanted.nodes, wanted.images)
    binaries = build.build([recipes.CONTROL_PLANE])[recipes.CONTROL_PLANE.name]
    in_home = disk.explained("folder", layout.home, errors.HomeError, paths.HOME_VARIABLE)
    with in_home, lock(layout):
        running = state.read(layout.home)
        if running is not None and running.is_ready and _all_alive(running):
            return Cluster(
                layout=layout,
                server=running.server,
                binaries=pathlib.Path(running.binaries),
                is_new=False,
            )
        if _clear(layout):
            progress.say("A part of the last cluster had ended: starting a new one.")
        try:
            return _start_with_retries(wanted, layout, binaries, choose_ports)
        except BaseException:
            # Ctrl-C as well: what has not come up whole leaves nothing behind.
            _clear(layout)
            home.remove(layout)
            raise


def down(where: pathlib.Path) -> list[str]:
    """End everything that belongs to this home and remove it; the names of what ran.

    Works from the record and, where that is lost or behind, from the processes themselves.
    """
    layout = Layout(home=where.absolute())
    if not layout.home.is_dir():
        return []
    with lock(layout):
        stopped = _clear(layout)
        home.remove(layout)
    return stopped


def require_running(layout: Layout) -> state.State:
    """The record of a cluster that is up; refuses a home where none is."""
    recorded = state.read(layout.home)
    if recorded is None or not recorded.is_ready or not _all_alive(recorded):
        raise errors.ComponentError(
            f"No local cluster runs in {layout.home}.",
            next_step="Start one with: farthing local up.",
        )
    return recorded


def lock(layout: Layout) -> contextlib.AbstractContextManager[None]:
    """Held by whoever changes what runs in this home."""

    def waiting() -> None:
        progress.say(f"Another command works on {layout.home}: waiting for it.")

    return locks.locked(layout.lock, on_wait=waiting)


def _all_alive(running: state.State) -> bool:
    return all(processes.is_alive(one.process) for one in running.components)


def _clear(layout: Layout) -> list[str]:
    """End every process of this home and remove its files, except the lock that we hold."""
    recorded = state.read(layout.home)
    several = list(recorded.components) if recorded else []
    known = {one.process for one in several}
    for name, process in processes.strays(home.PROGRAMS, layout.home):
        if process not in known:
            several.append(state.Component(name=name, process=process, port=None))
    alive = [one.name for one in several if processes.is_alive(one.process)]
    late = {name for group in _LAST_TO_STOP for name in group}
    first = tuple(one.name for one in several if one.name not in late)
    for group in (first, *_LAST_TO_STOP):
        patience_s = max((_PATIENCE_S.get(name, _DEFAULT_PATIENCE_S) for name in group), default=0)
        processes.stop([one.process for one in several if one.name in group], patience_s=patience_s)
    home.end_pods(layout)
    home.clear(layout)
    return alive


def _start_with_retries(
    wanted: Wanted,
    layout: Layout,
    binaries: pathlib.Path,
    choose_ports: Callable[[int], tuple[int, ...]],
) -> Cluster:
    for _ in range(_ATTEMPTS - 1):
        with contextlib.suppress(errors.PortTakenError):
            return _start(wanted, layout, binaries, _named(choose_ports(_PORT_COUNT)))
        _clear(layout)
    return _start(wanted, layout, binaries, _named(choose_ports(_PORT_COUNT)))


def _named(numbers: tuple[int, ...]) -> components.Ports:
    names = (field.name for field in dataclasses.fields(components.Ports))
    return components.Ports(**dict(zip(names, numbers, strict=True)))


def _start(
    wanted: Wanted, layout: Layout, binaries: pathlib.Path, chosen: components.Ports
) -> Cluster:
    home.prepare(layout)
    keys = credentials.create(layout, chosen)
    layout.audit_policy.write_text(components.AUDIT_POLICY)
    pools.write(layout, nodes=wanted.nodes, images=wanted.images)
    starter = _Starter(layout, binaries, server=credentials.server_url(chosen), audit=wanted.audit)
    with progress.Progress("Local cluster") as shown:
        starter.add(components.ETCD, chosen.etcd, components.etcd(layout, chosen, keys))
        starter.add(
            components.API_SERVER,
            chosen.api_server,
            components.api_server(layout, chosen, keys, audit=wanted.audit),
        )
        starter.wait(shown)
        starter.add(
            components.CONTROLLER_MANAGER,
            chosen.controller_manager,
            components.controller_manager(layout, chosen, keys),
        )
        starter.add(
            components.SCHEDULER, chosen.scheduler, components.scheduler(layout, chosen, keys)
        )
        if wanted.agent:
            starter.add_agent(components.node_agent(layout, keys))
        starter.wait(shown)
        starter.wait_for_default_account(shown)
    state.write(layout.home, starter.state.as_ready())
    return Cluster(layout=layout, server=starter.state.server, binaries=binaries, is_new=True)


class _Starter:
    """Starts components one by one, each on record before the next, and waits for them."""

    def __init__(self, layout: Layout, binaries: pathlib.Path, *, server: str, audit: bool) -> None:
        self._layout, self._binaries = layout, binaries
        self.state = state.State(server=server, binaries=str(binaries), audit=audit)

    def add(self, name: str, port: int, arguments: list[str]) -> None:
        # Of the starter's own environment a component needs nothing; a GODEBUG or a proxy there
        # must not change what the cluster does.
        env = {"PATH": os.defpath, "HOME": str(self._layout.home), "TMPDIR": "/tmp"}  # noqa: S108
        self._record(name, port, [str(self._binaries / name), *arguments], env)

    def add_agent(self, arguments: list[str]) -> None:
        inherited = {name: value for name, value in os.environ.items() if name != "KUBECONFIG"}
        source = str(paths.checkout() / "local_cluster")
        search = [source, *filter(None, [os.environ.get("PYTHONPATH")])]
        env = {**inherited, "PYTHONPATH": os.pathsep.join(search)}
        self._record(components.NODE_AGENT, None, [sys.executable, *arguments], env)

    def _record(self, name: str, port: int | None, argv: list[str], env: dict[str, str]) -> None:
        process = processes.start(argv, env=env, log=self._layout.log(name))
        component = state.Component(name=name, process=process, port=port)
        self.state = self.state.with_component(component)
        state.write(self._layout.home, self.state)

    def wait(self, shown: progress.Progress) -> None:
        """Wait until every component so far is healthy."""
        for component in self.state.components:
            problem_now = functools.partial(health.problem, self._layout, component)
            for problem in self._until(problem_now):
                shown.show(f"waiting for {component.name} ({problem})")

    def wait_for_default_account(self, shown: progress.Progress) -> None:
        server = self.state.component(components.API_SERVER)
        if server is None:
            raise ValueError("the API server has not been started")

        def problem() -> str | None:
            ready = health.has_default_account(self._layout, server)
            return None if ready else "no ServiceAccount in the namespace default yet"

        for _ in self._until(problem):
            shown.show("waiting for the controllers")

    def _until(self, problem: Callable[[], str | None]) -> Iterator[str]:
        deadline = time.monotonic() + _HEALTHY_WITHIN_S
        while (current := problem()) is not None:
            self._require_alive()
            if time.monotonic() > deadline:
                raise errors.ComponentError(
                    f"The local cluster is not healthy after {_HEALTHY_WITHIN_S:.0f} s: {current}.",
                    next_step=f"Its logs are in {home.keep_logs(self._layout)}.",
                )
            yield current
            time.sleep(_POLL_S)

    def _require_alive(self) -> None:
        for component in self.state.components:
            if processes.is_alive(component.process):
                continue
            cause = home.cause(self._layout.log(component.name))
            if _PORT_TAKEN in cause:
                raise errors.PortTakenError(
                    f"{component.name} lost its port {component.port} to another program.",
                    next_step="Run this again.",
                )
            raise errors.ComponentError(
                f"{component.name} ended as it started: {cause}.",
                next_step=f"Its log is in {home.keep_logs(self._layout)}.",
            )
