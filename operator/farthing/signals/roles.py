"""What a serving runtime calls the things that the planner asks for.

Runtimes differ in names and labels, not in what they count. A `MetricNames` says which series play
which role; everything after it speaks of roles only. Series of one name are summed over their
labels, except the two labels that carry meaning: `le` of a histogram and `size` of a batch.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from farthing.signals.errors import UnusablePageError
from farthing.signals.exposition import Series, parse_page

PROCESS_START = "process_start_time_seconds"
"""Exported by most client libraries; where it is, a restart is known and not guessed."""
LARGEST_COUNT = 2.0**53
"""Above this a double no longer counts by ones."""
MAXIMUM_BATCH_SIZES = 1_024
LARGEST_BATCH = 65_536

Key = TypeVar("Key", int, float)

_METRIC_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_BATCH_SIZE = re.compile(r"[1-9][0-9]{0,4}")


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricNames:
    """Where a runtime's page is and the names of the roles on it.

    `latency` is the base name of a histogram in seconds. Without `arrived`, arrivals are inferred:
    what was completed or refused, plus the growth of what is queued and in flight.
    """

    path: str
    port: int
    completed: str
    queued: str
    in_flight: str
    latency: str
    arrived: str | None = None
    refused: str | None = None
    batches: str | None = None
    batch_seconds: str | None = None
    wanted: frozenset[str] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        if not self.path.startswith("/"):
            raise ValueError(f"path is {self.path!r}; it must start with '/'")
        if not 1 <= self.port <= 65_535:
            raise ValueError(f"port is {self.port}; allowed is 1 to 65535")
        for role, name in self.by_role().items():
            if not _METRIC_NAME.fullmatch(name):
                raise ValueError(f"{role} is {name!r}; it must be a Prometheus metric name")
        if (self.batches is None) != (self.batch_seconds is None):
            raise ValueError("batches and batch_seconds must be given together or not at all")
        names = {**self.by_role(), "latency": f"{self.latency}_bucket", "start": PROCESS_START}
        object.__setattr__(self, "wanted", frozenset(names.values()))

    def by_role(self) -> dict[str, str]:
        """The names that are given, by role."""
        roles = {
            "completed": self.completed,
            "queued": self.queued,
            "in_flight": self.in_flight,
            "latency": self.latency,
            "arrived": self.arrived,
            "refused": self.refused,
            "batches": self.batches,
            "batch_seconds": self.batch_seconds,
        }
        return {role: name for role, name in roles.items() if name is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyTotals:
    """A histogram since the replica started; `counts[i]` of them at or below `bounds_s[i]` and
    above the bound before, the last above all bounds."""

    bounds_s: tuple[float, ...]
    counts: npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class PodSample:
    """One page, by role. Counters are since the replica started."""

    completed: float
    queued: float
    in_flight: float
    arrived: float | None
    refused: float
    latency: LatencyTotals | None
    batches: Mapping[int, tuple[float, float]]
    started_unix_s: float | None

    def counters(self) -> tuple[float, ...]:
        """The totals by which a restart is recognised."""
        latency = 0.0 if self.latency is None else float(self.latency.counts.sum())
        batches = sum(count for count, _ in self.batches.values())
        return (self.completed, self.arrived or 0.0, self.refused, latency, batches)


def read_sample(names: MetricNames, body: bytes) -> PodSample:
    """The page as a sample; raises UnusablePageError with the reason when it cannot be trusted."""
    page = parse_page(body, names.wanted)
    started = page.get(PROCESS_START)
    return PodSample(
        completed=_required(page, names.completed),
        queued=_required(page, names.queued),
        in_flight=_required(page, names.in_flight),
        arrived=None if names.arrived is None else _required(page, names.arrived),
        # Libraries create a labelled counter with its first event: none yet is an honest zero
        # here, and a counter that vanishes later is seen as one that went backward.
        refused=0.0 if names.refused is None else _total(names.refused, page.get(names.refused)),
        latency=_latency(names.latency, page.get(f"{names.latency}_bucket")),
        batches=_batches(names, page),
        started_unix_s=None if started is None else _total(PROCESS_START, started),
    )


def _required(page: Mapping[str, Series], name: str) -> float:
    if name not in page:
        raise UnusablePageError(f"no series {name} on the page")
    return _total(name, page[name])


def _total(name: str, series: Series | None) -> float:
    return math.fsum(_checked(name, value) for value in (series or {}).values())


def _checked(name: str, value: float) -> float:
    if not 0.0 <= value <= LARGEST_COUNT:
        raise UnusablePageError(f"{name} is {value}; allowed is 0 to {LARGEST_COUNT:.0f}")
    return value


def _latency(name: str, series: Series | None) -> LatencyTotals | None:
    """Counts by bucket from the cumulative ones, which must not fall and must end at +Inf."""
    if series is None:
        return None
    cumulative = _by_label(f"{name}_bucket", series, "le", _bound_s)
    bounds_s = sorted(cumulative)
    if len(bounds_s) < 2 or bounds_s[-1] != math.inf:
        raise UnusablePageError(f"histogram {name} lacks the bucket +Inf or has no other")
    counts = np.diff(np.array([cumulative[bound_s] for bound_s in bounds_s]), prepend=0.0)
    if counts.min() < 0.0:
        raise UnusablePageError(f"histogram {name} falls from one bucket to the next")
    return LatencyTotals(bounds_s=tuple(bounds_s[:-1]), counts=counts)


def _batches(names: MetricNames, page: Mapping[str, Series]) -> dict[int, tuple[float, float]]:
    if names.batches is None or names.batch_seconds is None:
        return {}
    counts = _by_label(names.batches, page.get(names.batches, {}), "size", _batch_size)
    seconds = _by_label(names.batch_seconds, page.get(names.batch_seconds, {}), "size", _batch_size)
    if counts.keys() != seconds.keys():
        raise UnusablePageError(f"{names.batches} and {names.batch_seconds} differ in their sizes")
    if len(counts) > MAXIMUM_BATCH_SIZES:
        raise UnusablePageError(f"{names.batches} has more than {MAXIMUM_BATCH_SIZES} sizes")
    return {size: (counts[size], seconds[size]) for size in counts}


def _by_label(
    name: str, series: Series, label: str, key_of: Callable[[str], Key | None]
) -> dict[Key, float]:
    totals: dict[Key, float] = {}
    for labels, value in series.items():
        text = next((text for found, text in labels if found == label), None)
        key = None if text is None else key_of(text)
        if key is None:
            raise UnusablePageError(f"{name} has {label}={text!a:.40}, which cannot be read")
        totals[key] = totals.get(key, 0.0) + _checked(name, value)
    return totals


@functools.lru_cache(maxsize=4_096)
def _bound_s(text: str) -> float | None:
    try:
        bound_s = float(text)
    except ValueError:
        return None
    return None if math.isnan(bound_s) else bound_s


@functools.lru_cache(maxsize=4_096)
def _batch_size(text: str) -> int | None:
    if not _BATCH_SIZE.fullmatch(text) or int(text) > LARGEST_BATCH:
        return None
    return int(text)
