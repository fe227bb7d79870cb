"""The second source: the same readings from a Prometheus that scrapes the same pages.

It is older and coarser than asking the replicas (its scrape interval decides), but it still knows
them when the network between the operator and the replicas does not let pages through.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from farthing.core.domain import Gap, LatencyCounts, LoadReading, WorkloadId
from farthing.signals.errors import UnusableAnswerError
from farthing.signals.prometheus_queries import PrometheusQueries, Row
from farthing.signals.promql import DNS_LABEL, ROLE, RUNTIME, SeriesLabels, questions
from farthing.signals.roles import MetricNames

SOURCE = "prometheus"
STALE_AFTER_S = 60.0
FUTURE_TOLERANCE_S = 5.0
GROWTHS = ("queued_growth", "in_flight_growth")

Key = tuple[str, str]
"""Role and, for a histogram, its upper bound."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A workload to ask for, with the runtime's names and how many replicas are ready."""

    workload: WorkloadId
    names: MetricNames
    ready_replicas: int


@dataclass(slots=True)
class _Found:
    """What the answers say of one workload; `fast` and `slow` are the two windows."""

    fast: dict[Key, float] = field(default_factory=dict)
    slow: dict[Key, float] = field(default_factory=dict)
    problem: str = ""

    def add(self, *, slow: bool, key: Key, value: float | None) -> None:
        """Adds a value; an impossible or second one spoils this workload and no other."""
        into = self.slow if slow else self.fast
        if key in into:
            self.problem = f"duplicate series of {key[0]}"
        elif value is None or not math.isfinite(value):
            self.problem = f"{key[0]} is not a finite number"
        elif value < 0.0 and key[0] not in GROWTHS:
            self.problem = f"{key[0]} is {value:g}; it cannot be negative"
        else:
            into[key] = value


@dataclass(slots=True)
class _Answered:
    """The total of answered requests of one workload, as integrated over the ticks."""

    total: float = 0.0
    until_s: float | None = None

    def add(self, rate_rps: float, until_s: float, window_s: float) -> None:
        """Adds the time since the last look, but never more of it than the window covers."""
        if self.until_s is not None:
            self.total += rate_rps * min(window_s, max(0.0, until_s - self.until_s))
        self.until_s = until_s if self.until_s is None else max(self.until_s, until_s)


class PrometheusSource:
    """Readings from one Prometheus. `window_s` must hold at least two of its scrapes."""

    def __init__(
        self, queries: PrometheusQueries, labels: SeriesLabels, *, window_s: int = 60
    ) -> None:
        self._queries = queries
        self._labels = labels
        self._window_s = window_s
        self._answered: dict[WorkloadId, _Answered] = {}
        self._missing_since: dict[WorkloadId, datetime] = {}

    async def read(
        self, asked: Sequence[Asked], at: datetime
    ) -> tuple[tuple[LoadReading, ...], tuple[Gap, ...]]:
        """Readings and gaps as of `at`; a workload that is asked for has one or the other."""
        self._forget_all_but({one.workload for one in asked})
        if not asked:
            return (), ()
        try:
            found = await self._ask(asked, at)
        except UnusableAnswerError as error:
            return (), tuple(self._gap(one.workload, at, str(error)) for one in asked)
        readings: list[LoadReading] = []
        gaps: list[Gap] = []
        for one in asked:
            values = found.get(one.workload, _Found())
            problem = _problem(one, values, at)
            if problem:
                gaps.append(self._gap(one.workload, at, problem))
                continue
            seen = round(values.fast["replicas", ""])
            if seen < one.ready_replicas:
                because = f"{seen} of {one.ready_replicas} ready replicas have series"
                gaps.append(self._gap(one.workload, at, because, "metrics of some pods"))
            else:
                self._missing_since.pop(one.workload, None)
            readings.append(self._reading(one, values))
        return tuple(readings), tuple(gaps)

    async def _ask(self, asked: Sequence[Asked], at: datetime) -> dict[WorkloadId, _Found]:
        runtimes = list(dict.fromkeys(_only_names(one.names) for one in asked))
        queries = questions(runtimes, self._labels, self._window_s)
        runtime_of = {one.workload: str(runtimes.index(_only_names(one.names))) for one in asked}
        fast, slow, *others = await self._queries.ask(
            (
                queries.counters,
                queries.slow_counters,
                queries.gauges,
                queries.latency,
                queries.freshness,
            ),
            at,
        )
        found: dict[WorkloadId, _Found] = defaultdict(_Found)
        self._sort_in(found, runtime_of, slow, slow=True)
        for rows in (fast, *others):
            self._sort_in(found, runtime_of, rows, slow=False)
        return found

    def _sort_in(
        self,
        found: dict[WorkloadId, _Found],
        runtime_of: Mapping[WorkloadId, str],
        rows: Iterable[Row],
        *,
        slow: bool,
    ) -> None:
        """Files rows under the workloads that were asked for; others are none of our business."""
        for row in rows:
            labels = row.get("metric")
            if not isinstance(labels, dict):
                continue
            workload = self._workload(labels)
            if workload is None or runtime_of.get(workload) != labels.get(RUNTIME):
                continue
            key = (str(labels.get(ROLE, "")), str(labels.get("le", "")))
            found[workload].add(slow=slow, key=key, value=_value(row))

    def _workload(self, labels: Mapping[str, object]) -> WorkloadId | None:
        namespace, name = labels.get(self._labels.namespace), labels.get(self._labels.workload)
        if not isinstance(namespace, str) or not isinstance(name, str):
            return None
        if not DNS_LABEL.fullmatch(namespace) or not DNS_LABEL.fullmatch(name):
            return None
        return WorkloadId(namespace=namespace, name=name)

    def _reading(self, one: Asked, values: _Found) -> LoadReading:
        ends_s = values.fast["oldest", ""]
        answered = self._answered.setdefault(one.workload, _Answered())
        answered.add(values.fast["completed", ""] / self._window_s, ends_s, self._window_s)
        return LoadReading(
            workload=one.workload,
            ends_at=datetime.fromtimestamp(ends_s, UTC),
            bucket_s=1.0,
            arrivals=self._buckets(_arrived(values.fast), _arrived(values.slow)),
            refused=self._buckets(_refused(values.fast), _refused(values.slow)),
            queued=values.fast["queued", ""],
            in_flight=values.fast["in_flight", ""],
            answered_total=answered.total,
            latency=_latency(values.fast),
            source=SOURCE,
        )

    def _buckets(self, fast: float, slow: float) -> tuple[float, ...]:
        """Seconds of the two windows; within each, only the sum is known, so it is even."""
        count = self._window_s
        earlier = max(0.0, slow - fast) / count
        return (earlier,) * count + (fast / count,) * count

    def _gap(
        self, workload: WorkloadId, at: datetime, because: str, missing: str = "metrics"
    ) -> Gap:
        since = self._missing_since.setdefault(workload, at)
        reason = f"Prometheus: {because}"
        return Gap(subject=str(workload), missing=missing, since=since, because=reason)

    def _forget_all_but(self, workloads: set[WorkloadId]) -> None:
        for memory in (self._answered, self._missing_since):
            for workload in memory.keys() - workloads:
                memory.pop(workload)


def _problem(one: Asked, values: _Found, at: datetime) -> str:
    """Why there can be no reading; empty when there can. No series is never zero."""
    if values.problem:
        return values.problem
    needed = ["completed", "queued", "in_flight", "oldest", "replicas"]
    needed += ["arrived"] if one.names.arrived is not None else list(GROWTHS)
    for role in needed:
        if (role, "") not in values.fast:
            return f"no series of {role}"
    age_s = at.timestamp() - values.fast["oldest", ""]
    if age_s > STALE_AFTER_S:
        return f"oldest sample is {age_s:.0f} s old"
    if age_s < -FUTURE_TOLERANCE_S:
        return f"sample is {-age_s:.0f} s in the future"
    return ""


def _arrived(values: Mapping[Key, float]) -> float:
    """Counted arrivals, or what left plus what grew."""
    counted = values.get(("arrived", ""))
    if counted is not None:
        return counted
    left = values.get(("completed", ""), 0.0) + _refused(values)
    return max(0.0, left + sum(values.get((role, ""), 0.0) for role in GROWTHS))


def _refused(values: Mapping[Key, float]) -> float:
    """A labelled counter has no series before its first event, and none is then no event."""
    return values.get(("refused", ""), 0.0)


def _latency(values: Mapping[Key, float]) -> LatencyCounts | None:
    """Counts by bucket. `increase` extrapolates each bucket alone, so a small fall is rounding."""
    cumulative: dict[float, float] = {}
    for (role, bound), value in values.items():
        if role == "latency":
            try:
                cumulative[float(bound)] = value
            except ValueError:
                return None
    bounds_s = sorted(cumulative)
    if len(bounds_s) < 2 or bounds_s[-1] != math.inf:
        return None
    counts: list[float] = []
    below = 0.0
    for bound_s in bounds_s:
        counts.append(max(0.0, cumulative[bound_s] - below))
        below = max(below, cumulative[bound_s])
    return LatencyCounts(bounds_s=tuple(bounds_s[:-1]), counts=tuple(counts))


def _value(row: Row) -> float | None:
    """The number of a row `[time, "text"]`; None when it has none."""
    pair = row.get("value")
    if not isinstance(pair, list) or len(pair) != 2 or not isinstance(pair[1], str):
        return None
    try:
        return float(pair[1])
    except ValueError:
        return None


def _only_names(names: MetricNames) -> MetricNames:
    """Prometheus knows no path and port; runtimes that differ only there are one."""
    return MetricNames(path="/", port=1, **names.by_role())
