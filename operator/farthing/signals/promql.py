"""The questions put to Prometheus: five a tick, whatever the number of workloads and runtimes.

Runtimes call the same role by different names. Each role of each runtime becomes one aggregated
term that carries the role and the runtime as labels, and `or` joins the terms to one query, so the
names need no regular expression. Nothing that a tenant writes enters a query: names come from the
runtimes, which belong to the platform, and are checked; values of matchers are DNS labels.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from farthing.signals.roles import MetricNames

DNS_LABEL = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?", re.ASCII)
_LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)

ROLE = "farthing_role"
RUNTIME = "farthing_runtime"


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesLabels:
    """How the series of this Prometheus are labelled.

    The namespace and workload labels must be set by the scrape configuration from what Kubernetes
    says of the pod (and `honor_labels` be off), or a tenant could speak for another.
    """

    namespace: str = "namespace"
    workload: str = "farthing_dev_service"
    replica: str = "instance"
    matchers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Exact matches that every series must fulfill, such as the cluster's name."""

    def __post_init__(self) -> None:
        for name in (self.namespace, self.workload, self.replica, *self.matchers):
            if not _LABEL_NAME.fullmatch(name):
                raise ValueError(f"label is {name!r}; it must be a Prometheus label name")
        for name, value in self.matchers.items():
            if not DNS_LABEL.fullmatch(value):
                raise ValueError(f"matcher {name} is {value!r}; it must be a DNS label")


@dataclass(frozen=True, slots=True, kw_only=True)
class Questions:
    """The queries of one tick, by what they ask."""

    counters: str
    slow_counters: str
    gauges: str
    latency: str
    freshness: str


def questions(runtimes: Sequence[MetricNames], labels: SeriesLabels, window_s: int) -> Questions:
    """What to ask about these runtimes; a runtime is told apart by its place in the sequence."""
    builder = _Builder(labels)
    terms: dict[str, list[str]] = {name: [] for name in Questions.__dataclass_fields__}
    for place, names in enumerate(runtimes):
        counted = {"completed": names.completed, "refused": names.refused, "arrived": names.arrived}
        for role, name in counted.items():
            if name is not None:
                terms["counters"].append(builder.increase(place, role, name, window_s))
                terms["slow_counters"].append(builder.increase(place, role, name, 2 * window_s))
        for role, name in (("queued", names.queued), ("in_flight", names.in_flight)):
            terms["gauges"].append(builder.total(place, role, name))
            if names.arrived is None:
                grown = f"{role}_growth"
                terms["counters"].append(builder.growth(place, grown, name, window_s))
                terms["slow_counters"].append(builder.growth(place, grown, name, 2 * window_s))
        bucket = f"{names.latency}_bucket"
        terms["latency"].append(builder.increase(place, "latency", bucket, window_s, "le"))
        terms["freshness"].append(builder.oldest(place, names.queued))
        terms["freshness"].append(builder.replicas(place, names.queued))
    return Questions(**{name: " or ".join(parts) for name, parts in terms.items()})


class _Builder:
    """Terms of one vocabulary of labels."""

    def __init__(self, labels: SeriesLabels) -> None:
        self._replica = labels.replica
        self._by = f"{labels.namespace}, {labels.workload}"
        inside = ",".join(f'{name}="{value}"' for name, value in sorted(labels.matchers.items()))
        self._matchers = f"{{{inside}}}" if inside else ""

    def increase(self, place: int, role: str, name: str, window_s: int, extra: str = "") -> str:
        by = f"{self._by}, {extra}" if extra else self._by
        return _tagged(
            place, role, f"sum by ({by}) (increase({name}{self._matchers}[{window_s}s]))"
        )

    def growth(self, place: int, role: str, name: str, window_s: int) -> str:
        return _tagged(
            place, role, f"sum by ({self._by}) (delta({name}{self._matchers}[{window_s}s]))"
        )

    def total(self, place: int, role: str, name: str) -> str:
        return _tagged(place, role, f"sum by ({self._by}) ({name}{self._matchers})")

    def oldest(self, place: int, name: str) -> str:
        term = f"min by ({self._by}) (timestamp({name}{self._matchers}))"
        return _tagged(place, "oldest", term)

    def replicas(self, place: int, name: str) -> str:
        each = f"group by ({self._by}, {self._replica}) ({name}{self._matchers})"
        return _tagged(place, "replicas", f"count by ({self._by}) ({each})")


def _tagged(place: int, role: str, term: str) -> str:
    runtime = f'label_replace({term}, "{RUNTIME}", "{place}", "", "")'
    return f'label_replace({runtime}, "{ROLE}", "{role}", "", "")'
