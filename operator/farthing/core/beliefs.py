"""What the planner infers from the facts: demand now and soon, and the rate that a replica serves."""

from __future__ import annotations

from dataclasses import dataclass

from farthing.core.domain import PoolName, Provenance, VariantName, WorkloadId
from farthing.core.queueing import BatchServer


@dataclass(frozen=True, slots=True, kw_only=True)
class DemandEstimate:
    """Arrivals of a workload, in requests per second. `sizing_rps` is what capacity is sized for."""

    workload: WorkloadId
    rate_rps: float
    forecast_rps: float
    backlog_rps: float
    sizing_rps: float
    dispersion: float
    queued: float
    refused_rps: float
    age_s: float
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceEstimate:
    """What one replica of a variant serves within the SLO in a pool. `rate_rps` None: no profile yet."""

    workload: WorkloadId
    variant: VariantName
    pool: PoolName
    rate_rps: float | None
    latency_s: float | None
    """The modelled quantile at that rate."""
    startup_s: float
    provenance: Provenance | None
    server: BatchServer | None = None
    """The service times behind the rate, and below how bursty one replica's share of the arrivals is."""
    dispersion: float = 1.0
    factor: float = 1.0
    """Measured over modelled; the rate includes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Beliefs:
    """All of them."""

    demand: tuple[DemandEstimate, ...]
    service: tuple[ServiceEstimate, ...]
