"""What is remembered of one replica: its last two minutes, restarts taken out.

Counters are compared replica by replica and only their increases are added up: a sum over replicas
falls when one leaves, and a fall looks like a restart of everything.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from farthing.signals.errors import UnusablePageError
from farthing.signals.roles import LatencyTotals, PodSample

Floats = npt.NDArray[np.float64]

SILENT_AFTER_S = 5.0
"""A replica that was not heard for longer is a gap."""
KEPT_SAMPLES = 140
"""120 s at one a second, the sample before them, and room for a page that is late."""
KEPT_LATENCIES = 45
BACKWARD_SAMPLES_BEFORE_NEW_START = 3
"""One page that went backward is dropped; as many in a row are a new truth to start from."""
START_TOLERANCE_S = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Increase:
    """What one page adds to the workload's totals."""

    answered: float
    batches: Mapping[int, tuple[float, float]]


@dataclass(slots=True, kw_only=True)
class PodTrack:
    """The samples of one replica. Times are those of the monotonic clock."""

    added_s: float
    history_unknown: bool
    """True: it may have served before it was first read, so nothing is said about that time."""
    first_s: float | None = None
    last_s: float | None = None
    because: str = "no answer yet"
    sample: PodSample | None = None
    _backward: int = 0
    _began_anew: bool = False
    _length: int = 0
    _rows: Floats = field(default_factory=lambda: np.zeros((2 * KEPT_SAMPLES, 3)))
    _latencies: deque[tuple[float, LatencyTotals]] = field(
        default_factory=lambda: deque(maxlen=KEPT_LATENCIES)
    )

    def accept(self, sample: PodSample, at_s: float) -> Increase:
        """Adds a page; raises UnusablePageError when counters fell without a restart."""
        if self.last_s is not None and at_s <= self.last_s:
            raise UnusablePageError("page is older than one already read")
        before = self.sample
        if before is None:
            increase = self._begin(sample, at_s)
        else:
            restarted = self._restarted(before, sample)
            increase = self._continue(None if restarted else before, sample, at_s)
        self.sample, self.last_s, self._backward = sample, at_s, 0
        return increase

    def refuse(self, because: str) -> None:
        """Notes why a page could not be used. It adds nothing: no zero stands for it."""
        self.because = because

    def due_from(self, at_s: float) -> None:
        """Counts silence from now: before, no answer was due."""
        self.added_s = at_s

    def silent_since_s(self) -> float:
        """When it was last heard, or since when it should have been."""
        return self.added_s if self.last_s is None else max(self.added_s, self.last_s)

    def unknown_until_s(self) -> float | None:
        """Until when its arrivals are not known; None when they are, from its beginning.

        One that was silent for long at first was reported as a gap all that time; when it comes,
        the history of the others is worth more than the completeness of all.
        """
        if self.first_s is None or self._began_anew:
            return self.first_s
        late = self.first_s - self.added_s > SILENT_AFTER_S
        return self.first_s if self.history_unknown and not late else None

    def increases(self, edges_s: Floats) -> Floats:
        """Arrivals and refusals between the edges, in two rows; even between two samples."""
        rows = self._rows[: self._length]
        times = rows[:, 0]
        return np.diff([np.interp(edges_s, times, rows[:, column]) for column in (1, 2)])

    def latency_since(self, from_s: float) -> LatencyTotals | None:
        """What was added to the histogram since then, or since the oldest sample kept."""
        if not self._latencies:
            return None
        _, base = self._latencies[0]
        for at_s, totals in self._latencies:
            if at_s > from_s:
                break
            base = totals
        newest = self._latencies[-1][1]
        return LatencyTotals(bounds_s=newest.bounds_s, counts=newest.counts - base.counts)

    def _begin(self, sample: PodSample, at_s: float) -> Increase:
        """A first page is where counting starts; only its batches are taken whole, since a
        measured batch is as true before this process began as after."""
        self.first_s = at_s
        self._push(at_s, 0.0, 0.0)
        if sample.latency is not None:
            zeros = np.zeros(len(sample.latency.counts))
            totals = LatencyTotals(bounds_s=sample.latency.bounds_s, counts=zeros)
            self._latencies.append((at_s, totals))
        return Increase(answered=0.0, batches=sample.batches)

    def _continue(self, before: PodSample | None, sample: PodSample, at_s: float) -> Increase:
        """Adds the increase since `before`; None when it restarted and began again at zero."""
        refused = sample.refused - (before.refused if before else 0.0)
        _, arrivals, refusals = self._rows[self._length - 1]
        self._push(at_s, arrivals + _arrived(before, sample), refusals + refused)
        self._push_latency(before, sample.latency, at_s)
        batches = {
            size: (count - known[0], seconds - known[1])
            for size, (count, seconds) in sample.batches.items()
            if (known := _batches_before(before, size))[0] != count
        }
        answered = sample.completed - (before.completed if before else 0.0)
        return Increase(answered=answered, batches=batches)

    def _push(self, at_s: float, arrivals: float, refusals: float) -> None:
        if self._length == len(self._rows):
            self._rows[:KEPT_SAMPLES] = self._rows[-KEPT_SAMPLES:]
            self._length = KEPT_SAMPLES
        self._rows[self._length] = (at_s, arrivals, refusals)
        self._length += 1

    def _push_latency(
        self, before: PodSample | None, latency: LatencyTotals | None, at_s: float
    ) -> None:
        """Keeps histograms as totals that never fall, so that a window is one subtraction."""
        if latency is None:
            return
        added = latency.counts
        if before is not None and before.latency is not None:
            added = added - before.latency.counts
        if self._latencies and self._latencies[-1][1].bounds_s != latency.bounds_s:
            self._latencies.clear()
        if not self._latencies:
            self._latencies.append((at_s, _no_latency(latency.bounds_s)))
        last = self._latencies[-1][1]
        # The bounds of the last one, not equal ones: kept 45 times they would cost 34 KB.
        totals = LatencyTotals(bounds_s=last.bounds_s, counts=last.counts + added)
        self._latencies.append((at_s, totals))

    def _restarted(self, before: PodSample, sample: PodSample) -> bool:
        """Whether the counters began again; raises when some fell and it did not restart.

        Without a start time a restart is when every counter that was above zero fell: one that
        falls while another stays or rises cannot come from a new process.
        """
        if before.started_unix_s is not None and sample.started_unix_s is not None:
            moved_s = abs(sample.started_unix_s - before.started_unix_s)
            if moved_s > START_TOLERANCE_S:
                return True
            fell = _went_backward(before, sample)
            restarted = False
        else:
            fell = _went_backward(before, sample)
            pairs = zip(before.counters(), sample.counters(), strict=True)
            restarted = bool(fell) and all(now < was or was == now == 0.0 for was, now in pairs)
        if fell and not restarted:
            self._drop_backward(fell)
        return restarted

    def _drop_backward(self, fell: str) -> None:
        self._backward += 1
        if self._backward >= BACKWARD_SAMPLES_BEFORE_NEW_START:
            self.sample, self._backward, self._length = None, 0, 0
            self._latencies.clear()
            self._began_anew = True
        raise UnusablePageError(f"{fell} went backward without a restart")


def _went_backward(before: PodSample, sample: PodSample) -> str:
    """The first thing that is lower than before; empty when nothing is."""
    roles = ("completed", "arrived", "refused", "latency", "batches")
    for role, was, now in zip(roles, before.counters(), sample.counters(), strict=True):
        if now < was:
            return role
    if before.latency is not None and sample.latency is not None:
        if before.latency.bounds_s != sample.latency.bounds_s:
            return "latency (other buckets)"
        if (sample.latency.counts < before.latency.counts).any():
            return "latency"
    for size, (count, seconds) in before.batches.items():
        now_count, now_seconds = sample.batches.get(size, (0.0, 0.0))
        if now_count < count or now_seconds < seconds:
            return f"batches of {size}"
    return ""


def _arrived(before: PodSample | None, sample: PodSample) -> float:
    """Arrivals since `before`. Where the runtime does not count them, conservation does: what
    came in either left or is still here. Requests that were given up may make that negative."""
    if sample.arrived is not None:
        return sample.arrived - ((before.arrived or 0.0) if before else 0.0)
    left = sample.completed + sample.refused + sample.queued + sample.in_flight
    if before is not None:
        left -= before.completed + before.refused + before.queued + before.in_flight
    return max(0.0, left)


def _batches_before(before: PodSample | None, size: int) -> tuple[float, float]:
    return (0.0, 0.0) if before is None else before.batches.get(size, (0.0, 0.0))


def _no_latency(bounds_s: tuple[float, ...]) -> LatencyTotals:
    return LatencyTotals(bounds_s=bounds_s, counts=np.zeros(len(bounds_s) + 1))
