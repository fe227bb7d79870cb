"""A toy cluster: asked for replicas, it starts, keeps and ends them, and measures what it is told to measure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from tests import builders

from farthing.core.domain import (
    LoadReading,
    Observation,
    PoolName,
    Replica,
    ReplicaPhase,
    Target,
    Workload,
)
from farthing.core.planner import Step, step
from farthing.core.policy import Policy
from farthing.core.state import PlannerState


@dataclass
class Plant:
    """Replicas get a node at once (never in a pool of `refusing`) and are ready `startup_s` later."""

    at: datetime
    workloads: tuple[Workload, ...]
    facts: dict[str, Any]
    startup_s: float = 60.0
    refusing: frozenset[PoolName] = frozenset()
    replicas: tuple[Replica, ...] = ()
    targets: tuple[Target, ...] = ()
    state: PlannerState = field(default_factory=PlannerState)
    answered: float = 0.0
    serial: int = 0
    steps: list[Step] = field(default_factory=list)

    def observe(self, readings: tuple[LoadReading, ...]) -> Observation:
        return Observation(
            at=self.at,
            workloads=self.workloads,
            replicas=self.replicas,
            targets=self.targets,
            readings=readings,
            **self.facts,
        )

    def tick(self, readings: tuple[LoadReading, ...], policy: Policy | None = None) -> Step:
        """Decides on what is seen now, and does it."""
        taken = step(self.observe(readings), policy or Policy(), self.state)
        self.state = taken.state
        self.steps.append(taken)
        self.apply(taken.plan.targets)
        return taken

    def run(
        self, ticks: int, every_s: float, rate_rps: Callable[[datetime], float], **measured: Any
    ) -> None:
        """Ticks with a steady reading of the rate at each instant."""
        for _ in range(ticks):
            rate = rate_rps(self.at)
            reading = builders.reading(
                rate, ends_at=self.at, answered_total=self.answered, **measured
            )
            self.tick((reading,))
            self.advance(every_s)
            self.answered += rate * every_s

    def apply(self, targets: tuple[Target, ...]) -> None:
        self.targets = tuple(t for t in targets if t.replicas > 0)
        wanted = {(t.workload, t.variant, t.pool): t.replicas for t in targets}
        kept: list[Replica] = []
        for key in sorted({(r.workload, r.variant, r.pool) for r in self.replicas} | set(wanted)):
            here = [r for r in self.replicas if (r.workload, r.variant, r.pool) == key]
            here.sort(key=lambda r: (r.interrupted_at is not None, r.created_at, r.name))
            kept += here[: wanted.get(key, 0)]
            kept += [self._new(key) for _ in range(wanted.get(key, 0) - len(here))]
        self.replicas = tuple(kept)

    def advance(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)
        self.replicas = tuple(
            replace(r, phase=ReplicaPhase.READY, ready_at=self.at)
            if r.phase is ReplicaPhase.STARTING
            and r.started_at is not None
            and self.at - r.started_at >= timedelta(seconds=self.startup_s)
            else r
            for r in self.replicas
        )

    def _new(self, key: tuple[Any, Any, PoolName]) -> Replica:
        self.serial += 1
        waits = key[2] in self.refusing
        return Replica(
            name=f"r{self.serial:05d}",
            workload=key[0],
            variant=key[1],
            pool=key[2],
            phase=ReplicaPhase.PENDING if waits else ReplicaPhase.STARTING,
            created_at=self.at,
            started_at=None if waits else self.at,
        )

    def count(self, **at: object) -> int:
        """Replicas with these attributes."""
        return sum(all(getattr(r, k) == v for k, v in at.items()) for r in self.replicas)
