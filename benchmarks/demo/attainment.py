"""What the clients saw: answered, refused, lost, and how long it took. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.demo.load import Outcome, Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Attainment:
    """Of everything that was sent: what became of it, and which share kept the SLO."""

    sent: int
    answered: int
    refused: int
    lost: int
    within_slo: int
    p50_ms: float | None
    p99_ms: float | None

    @property
    def within_slo_fraction(self) -> float | None:
        """Answered in time over sent: what was refused or lost counts as late."""
        return self.within_slo / self.sent if self.sent else None


def attainment(requests: Sequence[Request], slo_ms: float) -> Attainment:
    answered = [one.latency_s * 1e3 for one in requests if one.outcome is Outcome.ANSWERED]
    return Attainment(
        sent=len(requests),
        answered=len(answered),
        refused=sum(one.outcome is Outcome.REFUSED for one in requests),
        lost=sum(one.outcome is Outcome.LOST for one in requests),
        within_slo=sum(latency_ms <= slo_ms for latency_ms in answered),
        p50_ms=quantile(answered, 0.50),
        p99_ms=quantile(answered, 0.99),
    )


def quantile(values: Sequence[float], fraction: float) -> float | None:
    """The smallest value that at least this share of all values does not exceed."""
    if not values:
        return None
    return sorted(values)[max(0, math.ceil(fraction * len(values)) - 1)]
