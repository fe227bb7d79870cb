"""What the operator measures of itself and of the bill, for Prometheus."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)

from farthing.core.domain import Plan

# Creation times of series say nothing here, and double their number.
disable_created_metrics()  # type: ignore[no-untyped-call]

_SERVICE = ("namespace", "service")
_TICK_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5)
_DELAY_BUCKETS = (0.05, 0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 30)


class Instruments:
    """One registry with everything in it; series of services that are gone are dropped."""

    def __init__(self, currency: str) -> None:
        self.registry = CollectorRegistry()
        self._tick = Histogram(
            "farthing_tick_seconds",
            "Time of one pass from observing to applied changes.",
            buckets=_TICK_BUCKETS,
            registry=self.registry,
        )
        self._delay = Histogram(
            "farthing_signal_to_apply_seconds",
            "From the newest measurement that a decision rests on to the changed replica count.",
            buckets=_DELAY_BUCKETS,
            registry=self.registry,
        )
        self._applied = Counter(
            "farthing_apply",
            "Writes by kind of object and result.",
            ("kind", "result"),
            registry=self.registry,
        )
        self._leading = self._gauge("farthing_leader", "1 while this process holds the lease.")
        self._gaps = self._gauge("farthing_gaps", "Things that could not be observed at this tick.")
        self._cost = self._gauge(
            "farthing_cost_per_hour", "What the plan costs, in the cluster's currency.", _SERVICE
        )
        self._wanted = self._gauge(
            "farthing_target_replicas", "Replicas wanted.", (*_SERVICE, "variant", "pool")
        )
        self._spent = self._gauge(
            "farthing_spent", "Spent in the current period of the service's budget.", _SERVICE
        )
        self._short = self._gauge(
            "farthing_missing_cost_per_hour", "Money per hour that would serve the rest.", _SERVICE
        )
        self._scrape_age = self._gauge(
            "farthing_scrape_age_seconds", "Age of the newest measurement.", _SERVICE
        )
        self._gauge("farthing_currency", "The one currency of all money.", ("currency",)).labels(
            currency
        ).set(1)

    def _gauge(self, name: str, text: str, labels: Iterable[str] = ()) -> Gauge:
        return Gauge(name, text, tuple(labels), registry=self.registry)

    def applied(self, kind: str, result: str) -> None:
        self._applied.labels(kind, result).inc()

    def leading(self, is_leading: bool) -> None:
        self._leading.set(1 if is_leading else 0)

    def ticked(self, seconds: float, *, gaps: int) -> None:
        self._tick.observe(seconds)
        self.leading(True)
        self._gaps.set(gaps)

    def reacted(self, seconds: float) -> None:
        self._delay.observe(seconds)

    def planned(self, plan: Plan, ages_s: dict[tuple[str, str], float]) -> None:
        """Replace the figures of all services."""
        for gauge in (self._cost, self._wanted, self._spent, self._short, self._scrape_age):
            gauge.clear()
        for decision in plan.decisions:
            names = (decision.workload.namespace, decision.workload.name)
            self._cost.labels(*names).set(float(decision.cost_per_hour))
            if decision.shortfall is not None:
                self._short.labels(*names).set(float(decision.shortfall.missing_per_hour))
        for target in plan.targets:
            owner = target.workload
            labels = (owner.namespace, owner.name, target.variant, target.pool)
            self._wanted.labels(*labels).set(target.replicas)
        for standing in plan.service_budgets:
            namespace, _, name = standing.payer.partition("/")
            self._spent.labels(namespace, name).set(float(standing.spent))
        for names, age in ages_s.items():
            self._scrape_age.labels(*names).set(age)

    def page(self) -> bytes:
        return generate_latest(self.registry)
