"""Everything that is remembered of one workload's replicas, and the reading made of it.

This has no clock and does no I/O: pages and instants are handed in, so tests replay hours of them.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np

from farthing.core.domain import (
    BatchSample,
    Gap,
    LatencyCounts,
    LoadReading,
    VariantName,
    WorkloadId,
)
from farthing.signals.roles import LatencyTotals, PodSample
from farthing.signals.track import SILENT_AFTER_S, PodTrack

WINDOW_BUCKETS = 120
BUCKET_S = 1.0
LATENCY_WINDOW_S = 30.0
NO_READY_REPLICA = "no ready replica"
DEPARTED_KEPT_S = WINDOW_BUCKETS * BUCKET_S + 2 * SILENT_AFTER_S
"""A replica that left still explains the arrivals that it took within the window."""

Hardware = tuple[VariantName, str]


@dataclass(slots=True, kw_only=True)
class Member:
    """A replica that is, or was a moment ago, one of the workload."""

    replica: str
    hardware: Hardware
    ready: bool
    track: PodTrack
    left_s: float | None = None


@dataclass(slots=True)
class WorkloadView:
    """The replicas of one workload, by name, and the totals since this process began."""

    workload: WorkloadId
    since_s: float
    members: dict[str, Member] = field(default_factory=dict)
    unready_since_s: float | None = None
    _answered_total: float = 0.0
    _batches: dict[Hardware, dict[int, tuple[float, float]]] = field(default_factory=dict)

    def set_members(self, present: Mapping[str, tuple[Hardware, bool]], at_s: float) -> None:
        """Says which replicas there are, each with its variant, hardware and readiness.

        Those that come first may have served before they were read; those that join later are new.
        """
        first = not self._watched()
        for replica, (hardware, ready) in present.items():
            member = self.members.get(replica)
            if member is None:
                track = PodTrack(added_s=at_s, history_unknown=first)
                member = Member(replica=replica, hardware=hardware, ready=ready, track=track)
                self.members[replica] = member
            elif member.left_s is not None or (ready and not member.ready):
                member.track.due_from(at_s)
            member.hardware, member.ready, member.left_s = hardware, ready, None
        self._mark_departures(present.keys(), at_s)
        if any(member.ready for member in self._watched()):
            self.unready_since_s = None
        elif self.unready_since_s is None:
            self.unready_since_s = at_s

    def _mark_departures(self, present: Collection[str], at_s: float) -> None:
        for replica, member in list(self.members.items()):
            if replica not in present and member.left_s is None:
                member.left_s = at_s
            if member.left_s is not None and at_s - member.left_s > DEPARTED_KEPT_S:
                del self.members[replica]

    def accept(self, member: Member, sample: PodSample, at_s: float) -> None:
        """Adds a page of a replica; raises UnusablePageError as `PodTrack.accept` does."""
        increase = member.track.accept(sample, at_s)
        self._answered_total += increase.answered
        batches = self._batches.setdefault(member.hardware, {})
        for size, (count, seconds) in increase.batches.items():
            known = batches.get(size, (0.0, 0.0))
            batches[size] = (known[0] + count, known[1] + seconds)

    def read(self, at: datetime, at_s: float) -> tuple[LoadReading | None, tuple[Gap, ...]]:
        """The reading and what it lacks; `at` and `at_s` are the same instant on both clocks."""
        ready = [member for member in self._watched() if member.ready]
        if not ready:
            since_s = self.since_s if self.unready_since_s is None else self.unready_since_s
            return None, (self._gap("metrics", NO_READY_REPLICA, at, at_s - since_s),)
        answering = [member for member in ready if _answers(member.track, at_s)]
        if not answering:
            latest = max((member.track for member in ready), key=PodTrack.silent_since_s)
            age_s = at_s - latest.silent_since_s()
            return None, (self._gap("metrics", latest.because, at, age_s),)
        gaps = tuple(
            self._gap(f"metrics of pod {member.replica}", member.track.because, at, age_s)
            for member in ready
            if (age_s := at_s - member.track.silent_since_s()) > SILENT_AFTER_S
        )
        end_s = min(member.track.last_s or 0.0 for member in answering)
        buckets = min(WINDOW_BUCKETS, math.floor((end_s - self._known_from_s()) / BUCKET_S))
        if buckets < 1:
            because = f"watched for less than {BUCKET_S:g} s"
            since_s = at_s - self.since_s
            return None, (self._gap("metrics", because, at, since_s), *gaps)
        return self._reading(at - timedelta(seconds=at_s - end_s), end_s, buckets, at_s), gaps

    def _reading(self, ends_at: datetime, end_s: float, buckets: int, at_s: float) -> LoadReading:
        heard = [m.track for m in self.members.values() if m.track.sample is not None]
        edges_s = end_s - BUCKET_S * np.arange(buckets, -1, -1.0)
        arrivals, refused = sum(
            (track.increases(edges_s) for track in heard), start=np.zeros((2, buckets))
        )
        current = [m.track.sample for m in self._watched() if _answers(m.track, at_s)]
        windows = [track.latency_since(end_s - LATENCY_WINDOW_S) for track in heard]
        return LoadReading(
            workload=self.workload,
            ends_at=ends_at,
            bucket_s=BUCKET_S,
            arrivals=tuple(arrivals.tolist()),
            refused=tuple(refused.tolist()),
            queued=math.fsum(sample.queued for sample in current if sample),
            in_flight=math.fsum(sample.in_flight for sample in current if sample),
            answered_total=self._answered_total,
            latency=merge_latencies([window for window in windows if window is not None]),
            batches=self._batch_samples(),
        )

    def _batch_samples(self) -> tuple[tuple[VariantName, str, tuple[BatchSample, ...]], ...]:
        return tuple(
            (
                variant,
                hardware,
                tuple(
                    BatchSample(size=size, batches=count, seconds=seconds)
                    for size, (count, seconds) in sorted(sizes.items())
                ),
            )
            for (variant, hardware), sizes in sorted(self._batches.items())
            if sizes
        )

    def _known_from_s(self) -> float:
        """From when on the arrivals of all replicas are known."""
        untils = [member.track.unknown_until_s() for member in self.members.values()]
        return max((until for until in untils if until is not None), default=self.since_s)

    def _watched(self) -> list[Member]:
        return [member for member in self.members.values() if member.left_s is None]

    def _gap(self, missing: str, because: str, at: datetime, age_s: float) -> Gap:
        since = at - timedelta(seconds=age_s)
        return Gap(subject=str(self.workload), missing=missing, since=since, because=because)


def merge_latencies(windows: list[LatencyTotals]) -> LatencyCounts | None:
    """One histogram of many, exact, on the bounds that all of them have."""
    if not windows:
        return None
    if any(window.bounds_s != windows[0].bounds_s for window in windows):
        return _merge_on_common(windows)
    counts = np.sum([window.counts for window in windows], axis=0)
    return LatencyCounts(bounds_s=windows[0].bounds_s, counts=tuple(counts.tolist()))


def _merge_on_common(windows: list[LatencyTotals]) -> LatencyCounts | None:
    common = set(windows[0].bounds_s).intersection(*(window.bounds_s for window in windows))
    if not common:
        return None
    bounds_s = tuple(sorted(common))
    counts = np.zeros(len(bounds_s) + 1)
    for window in windows:
        # A bucket goes whole into the common bucket that its upper bound falls in.
        places = np.searchsorted(bounds_s, (*window.bounds_s, math.inf))
        np.add.at(counts, places, window.counts)
    return LatencyCounts(bounds_s=bounds_s, counts=tuple(counts.tolist()))


def _answers(track: PodTrack, at_s: float) -> bool:
    fresh = track.last_s is not None and at_s - track.last_s <= SILENT_AFTER_S
    return fresh and track.sample is not None
