"""What the replicas say, from both sources: themselves, and Prometheus where they do not answer.

Prometheus is asked beside the ticks, every few seconds and only for services whose replicas leave
something open, so that a slow answer never holds up a decision.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from datetime import datetime

from farthing.core.domain import Gap, LoadReading, WorkloadId
from farthing.kube import documents, measuring, translate
from farthing.kube.documents import Json
from farthing.kube.translate import Resources
from farthing.signals import combine
from farthing.signals.clock import Clock
from farthing.signals.combine import Signals
from farthing.signals.direct import DirectScraper
from farthing.signals.prometheus import Asked, PrometheusSource
from farthing.signals.prometheus_queries import PrometheusQueries
from farthing.signals.promql import SeriesLabels

_ASK_EVERY_S = 5.0


class Sensing:
    """Readings and gaps of all services."""

    def __init__(self, clock: Clock, prometheus_url: str | None = None) -> None:
        """Raises ValueError where the URL cannot be used."""
        self._clock = clock
        self._scraper = DirectScraper(clock)
        self._prometheus: PrometheusSource | None = None
        if prometheus_url is not None:
            queries = PrometheusQueries(prometheus_url, clock)
            self._prometheus = PrometheusSource(queries, SeriesLabels())
        self._second = Signals()
        self._open: tuple[Asked, ...] = ()
        self._all: tuple[Asked, ...] = ()
        self._totals: combine.Totals = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Ask until `stop` is set."""
        if self._prometheus is None:
            await self._scraper.run(stop)
            return
        async with asyncio.TaskGroup() as group:
            group.create_task(self._scraper.run(stop))
            group.create_task(self._ask_prometheus(self._prometheus, stop))

    def aim(self, found: Resources, pods: Mapping[str, Json]) -> None:
        """Say whose replicas there are now."""
        owners = tuple(translate.workload_id(one) for one in found.services)
        self._scraper.set_targets(measuring.targets(found, pods), owners)
        self._all = _asked(found, pods)

    def read(self, at: datetime) -> tuple[tuple[LoadReading, ...], tuple[Gap, ...]]:
        """What is known at `at`."""
        readings, gaps = self._scraper.readings(at)
        if self._prometheus is None:
            return readings, gaps
        subjects = {gap.subject for gap in gaps}
        self._open = tuple(one for one in self._all if str(one.workload) in subjects)
        both, self._totals = combine.combine(
            Signals(readings=readings, gaps=gaps), self._second, self._totals, at
        )
        return both.readings, both.gaps

    async def _ask_prometheus(self, source: PrometheusSource, stop: asyncio.Event) -> None:
        while not stop.is_set():
            readings, gaps = await source.read(self._open, self._clock.now())
            self._second = Signals(readings=readings, gaps=gaps)
            await asyncio.sleep(_ASK_EVERY_S)


def _asked(found: Resources, pods: Mapping[str, Json]) -> tuple[Asked, ...]:
    names = {one.metadata.name: measuring.names_of(one) for one in found.runtimes}
    ready: Counter[WorkloadId] = Counter()
    for pod in pods.values():
        place = translate.placement_of(pod)
        if place is not None and documents.condition(pod, "Ready").get("status") == "True":
            ready[place[0]] += 1
    return tuple(
        Asked(
            workload=(owner := translate.workload_id(one)),
            names=names[one.spec.runtime_ref.name],
            ready_replicas=ready[owner],
        )
        for one in found.services
        if one.spec.runtime_ref.name in names
    )
