"""Chooses between the sources, workload by workload.

The replicas themselves are asked first. Where they do not answer and Prometheus does, its reading
is taken, and what is missing is still said. The total of answered requests goes on without a jump
when the source changes: money per request is computed from its differences.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from farthing.core.domain import Gap, LoadReading, WorkloadId
from farthing.signals.workload_view import NO_READY_REPLICA

FRESH_FOR_S = 60.0
"""An older reading of Prometheus is not taken; the planner judges the age of those taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signals:
    """What one source says, or what was made of both."""

    readings: tuple[LoadReading, ...] = ()
    gaps: tuple[Gap, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """One total over both sources, and where each of them stood when it was last taken.

    `ahead` is what Prometheus added since the replicas were last heard: their own counters will
    contain it too when they are heard again.
    """

    total: float = 0.0
    direct: float = 0.0
    prometheus: float | None = None
    ahead: float = 0.0

    def with_direct(self, total: float) -> Answered:
        grown = total - self.direct if total >= self.direct else total
        new = max(0.0, grown - self.ahead)
        return Answered(total=self.total + new, direct=total)

    def with_prometheus(self, total: float) -> Answered:
        grown = 0.0 if self.prometheus is None else max(0.0, total - self.prometheus)
        return dataclasses.replace(
            self, total=self.total + grown, prometheus=total, ahead=self.ahead + grown
        )


Totals = Mapping[WorkloadId, Answered]


def combine(
    direct: Signals, prometheus: Signals, totals: Totals, at: datetime
) -> tuple[Signals, Totals]:
    """The readings and gaps to plan with, and the totals to hand in at the next tick."""
    first = {reading.workload: reading for reading in direct.readings}
    second = {r.workload: r for r in prometheus.readings if _is_fresh(r, at)}
    none_ready = {gap.subject for gap in direct.gaps if gap.because == NO_READY_REPLICA}
    readings: list[LoadReading] = []
    kept: dict[WorkloadId, Answered] = {}
    named = {gap.subject for gap in (*direct.gaps, *prometheus.gaps)}
    remembered = {workload for workload in totals if str(workload) in named}
    for workload in sorted(first.keys() | second.keys() | remembered):
        before = totals.get(workload, Answered())
        reading = first.get(workload)
        if reading is not None:
            kept[workload] = before.with_direct(reading.answered_total)
        elif workload in second and str(workload) not in none_ready:
            reading = second[workload]
            kept[workload] = before.with_prometheus(reading.answered_total)
        else:
            kept[workload] = before
            continue
        total = kept[workload].total
        readings.append(dataclasses.replace(reading, answered_total=total))
    return Signals(readings=tuple(readings), gaps=_gaps(direct, prometheus, readings)), kept


def _is_fresh(reading: LoadReading, at: datetime) -> bool:
    return at - reading.ends_at <= timedelta(seconds=FRESH_FOR_S)


def _gaps(direct: Signals, prometheus: Signals, readings: Sequence[LoadReading]) -> tuple[Gap, ...]:
    """The gaps of the replicas, and those of Prometheus where it was needed."""
    direct_read = {str(r.workload) for r in direct.readings}
    bridged = {str(r.workload) for r in readings} - direct_read
    needed = {gap.subject for gap in direct.gaps} - direct_read
    answers = (
        dataclasses.replace(gap, missing=f"{gap.missing} from the replicas")
        if gap.subject in bridged
        else gap
        for gap in direct.gaps
    )
    others = (
        gap
        for gap in prometheus.gaps
        if gap.subject in needed and not _replaced_by_no_replica(gap, direct.gaps)
    )
    return (*answers, *others)


def _replaced_by_no_replica(gap: Gap, direct: Sequence[Gap]) -> bool:
    """Without a ready replica Prometheus has nothing to know, and need not say so."""
    return any(one.subject == gap.subject and one.because == NO_READY_REPLICA for one in direct)
