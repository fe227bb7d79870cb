"""How long a batch takes, learned while serving: a + b · size seconds.

A queue that promises to answer in time must know how long the next batch takes. The line is fitted
to the median of the latest durations of every size, so one stalled batch moves nothing, and older
sizes fade, so the line follows a machine that becomes slower. Pure: no clock, durations come as
arguments.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections import deque

DURATIONS_KEPT_PER_SIZE = 9
RESIDUALS_KEPT = 64
HALF_LIFE_BATCHES = 64.0
MARGIN_QUANTILE = 0.9
MARGIN_LIMIT_FRACTION = 0.5


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Batch time in seconds as ``fixed_s + per_item_s * size``."""

    fixed_s: float
    per_item_s: float

    def at(self, size: float) -> float:
        return self.fixed_s + self.per_item_s * size


@dataclasses.dataclass(slots=True)
class _Seen:
    durations_s: deque[float]
    last_batch: int
    median_s: float


class BatchTime:
    """The learned line and a margin for what it does not explain.

    Worked number: medians of 20 ms at size 1 and 50 ms at size 4 give b = 30 / 3 = 10 ms, a = 10
    ms.
    """

    def __init__(self, prior: Line) -> None:
        self._line = prior
        self._seen: dict[int, _Seen] = {}
        self._ratios: deque[float] = deque(maxlen=RESIDUALS_KEPT)
        self._batches = 0
        self._margin_fraction = 0.0

    @property
    def line(self) -> Line:
        return self._line

    @property
    def margin_fraction(self) -> float:
        """How much longer than the line nine batches in ten stay within, as a fraction."""
        return self._margin_fraction

    def expected_s(self, size: float) -> float:
        return self._line.at(size)

    def cautious_s(self, size: float) -> float:
        """The time to plan with: the line and its margin."""
        return self._line.at(size) * (1.0 + self._margin_fraction)

    def observe(self, size: int, duration_s: float) -> None:
        self._batches += 1
        expected_s = self._line.at(size)
        if self._seen and expected_s > 0:
            self._ratios.append(duration_s / expected_s)
            self._margin_fraction = self._margin()
        seen = self._seen.get(size)
        if seen is None:
            seen = _Seen(deque(maxlen=DURATIONS_KEPT_PER_SIZE), self._batches, duration_s)
            self._seen[size] = seen
        seen.durations_s.append(duration_s)
        seen.last_batch = self._batches
        seen.median_s = statistics.median(seen.durations_s)
        self._line = self._fit()

    def _margin(self) -> float:
        ordered = sorted(self._ratios)
        high = ordered[min(len(ordered) - 1, int(MARGIN_QUANTILE * len(ordered)))]
        return min(MARGIN_LIMIT_FRACTION, max(0.0, high - 1.0))

    def _weight(self, seen: _Seen) -> float:
        age_batches = self._batches - seen.last_batch
        return float(len(seen.durations_s) * 0.5 ** (age_batches / HALF_LIFE_BATCHES))

    def _fit(self) -> Line:
        """Weighted least squares over the sizes seen; both coefficients stay at zero or above."""
        points = [(size, seen.median_s, self._weight(seen)) for size, seen in self._seen.items()]
        total = sum(weight for _, _, weight in points)
        mean_size = sum(size * weight for size, _, weight in points) / total
        mean_s = sum(median_s * weight for _, median_s, weight in points) / total
        spread = sum(weight * (size - mean_size) ** 2 for size, _, weight in points)
        if len(points) == 1 or spread < 1e-9 * total:
            return self._shifted_through(mean_size, mean_s)
        slope = (
            sum(weight * (size - mean_size) * (s - mean_s) for size, s, weight in points) / spread
        )
        per_item_s = min(max(0.0, slope), mean_s / mean_size)
        return Line(fixed_s=mean_s - per_item_s * mean_size, per_item_s=per_item_s)

    def _shifted_through(self, size: float, duration_s: float) -> Line:
        """One size says nothing about the slope: keep the line's shape, scale it to the point."""
        before_s = self._line.at(size)
        if before_s <= 0:
            return Line(fixed_s=duration_s, per_item_s=0.0)
        factor = duration_s / before_s
        return Line(fixed_s=self._line.fixed_s * factor, per_item_s=self._line.per_item_s * factor)
