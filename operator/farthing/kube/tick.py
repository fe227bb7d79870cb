"""The loop: observe, decide, apply, say so; once a second, at once when something urgent is seen.

A tick that fails in a way nobody foresaw ends the process: targets stay as they are, and a new
process starts from what the API server holds.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from datetime import timedelta

from farthing.core import planner
from farthing.core.domain import Change, Observation
from farthing.core.policy import Policy
from farthing.core.state import PlannerState
from farthing.kube import children, desired, memory, translate
from farthing.kube.actuate import Actuator
from farthing.kube.cluster import Cluster
from farthing.kube.documents import Json
from farthing.kube.health import Health
from farthing.kube.instruments import Instruments
from farthing.kube.lease import Lease
from farthing.kube.publish import Publisher
from farthing.kube.sensing import Sensing
from farthing.kube.status import Tick
from farthing.kube.translate import Facts
from farthing.signals.clock import Clock

PERIOD_S = 1.0
# Several urgent things that happen together are answered by one tick.
_GATHER_S = 0.05
# Two rounds of asking the replicas, by which a rate is known.
_FIRST_READING_S = 2.2
_log = logging.getLogger(__name__)


class Loop:
    """Runs ticks while this process holds the lease."""

    def __init__(
        self,
        cluster: Cluster,
        sensing: Sensing,
        actuator: Actuator,
        publisher: Publisher,
        instruments: Instruments,
        health: Health,
        clock: Clock,
        policy: Policy,
        lease: Lease,
    ) -> None:
        self._cluster, self._sensing = cluster, sensing
        self._actuator, self._publisher = actuator, publisher
        self._instruments, self._health = instruments, health
        self._clock, self._policy, self._lease = clock, policy, lease
        self._state = PlannerState()

    async def run(self) -> None:
        """Tick until cancelled. Raises what a tick raises."""
        tenure = 0
        while True:
            await self._turn()
            if self._lease.tenure != tenure:
                tenure = self._lease.tenure
                self._aim()
                # Deciding before anything was measured would only announce that it was not.
                await asyncio.sleep(_FIRST_READING_S)
                self._state = memory.restored(translate.resources(self._cluster.store))
            started = time.monotonic()
            self._cluster.urgent.clear()
            await self.once()
            await self._pause(PERIOD_S - (time.monotonic() - started))

    async def _turn(self) -> None:
        """Wait until this process may write; without the lease it only watches."""
        aimed_at = float("-inf")
        while not self._lease.is_held:
            self._instruments.leading(False)
            if time.monotonic() - aimed_at > PERIOD_S:
                # Whoever takes over must know the load at once.
                aimed_at = time.monotonic()
                self._aim()
            await asyncio.sleep(_GATHER_S)

    async def once(self) -> None:
        """One tick."""
        started, at = time.monotonic(), self._clock.now()
        found, facts = self._aim(), self._cluster.facts(at)
        readings, gaps = self._sensing.read(at)
        observation = translate.observation(found, facts, at, readings, gaps)
        step = planner.step(observation, self._policy, self._state)
        wanted = desired.children_of(step.plan, found, facts.deployments)
        written = await self._actuator.apply(wanted, _under_notice(observation, facts))
        self._record(planner.changes(observation, step.plan), written, observation)
        await self._actuator.evict(
            facts.pods[name] for name in desired.leaving(observation) if name in facts.pods
        )
        self._state = step.state
        problems = {one.id: one.problems + self._actuator.problems_of(one.id) for one in wanted}
        tick = Tick(observation, step, problems)
        await self._publisher.publish(tick, self._cluster.nodes.objects.values())
        ages_s = {
            (one.workload.namespace, one.workload.name): (at - one.ends_at).total_seconds()
            for one in readings
        }
        self._instruments.planned(step.plan, ages_s)
        self._instruments.ticked(time.monotonic() - started, gaps=len(observation.gaps))
        self._health.ticked()

    def _aim(self) -> translate.Resources:
        """Read the resources, and ask the replicas of those that are there."""
        found = translate.resources(self._cluster.store)
        self._sensing.aim(found, self._cluster.pods.objects)
        return found

    async def _pause(self, wait_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._cluster.urgent.wait(), timeout=max(0.0, wait_s))
        await asyncio.sleep(_GATHER_S if self._cluster.urgent.is_set() else 0)

    def _record(
        self, changes: tuple[Change, ...], written: frozenset[str], observation: Observation
    ) -> None:
        """One line for each change that was made; one that waits is told when it is made."""
        newest = {one.workload: one.ends_at for one in observation.readings}
        for change in changes:
            name = children.deployment_name(change.workload.name, change.variant, change.pool)
            if f"Deployment {change.workload.namespace}/{name}" not in written:
                continue
            _log.info(
                "change",
                extra={
                    "service": str(change.workload),
                    "variant": change.variant,
                    "pool": change.pool,
                    "from_replicas": change.from_replicas,
                    "to_replicas": change.to_replicas,
                },
            )
            if change.workload in newest:
                delay = self._clock.now() - newest[change.workload]
                self._instruments.reacted(delay / timedelta(seconds=1))


def _under_notice(observation: Observation, facts: Facts) -> dict[str, Json]:
    return {
        replica.name: facts.pods[replica.name]
        for replica in observation.replicas
        if replica.interrupted_at is not None and replica.name in facts.pods
    }
