"""What one replica serves within the SLO, by variant and pool, corrected by what was measured."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from math import ceil

from farthing.core.beliefs import DemandEstimate, ServiceEstimate
from farthing.core.domain import (
    LatencyCounts,
    LoadReading,
    Observation,
    Pool,
    ReplicaPhase,
    ServiceProfile,
    Variant,
    VariantName,
    Workload,
    WorkloadId,
)
from farthing.core.policy import Policy
from farthing.core.queueing import BatchServer, rate_within
from farthing.core.state import Correction, PlannerState

CORRECTION_INTERVAL_S = 10.0
ENOUGH_ANSWERS = 100.0
DOWN_STEP = 0.93
UP_STEP = 1.02
RECOVERY_STEP = 1.002
"""Back towards the model while the SLO holds: a doubt of before is forgotten within the hour."""
Profiles = dict[tuple[WorkloadId, VariantName, str], ServiceProfile]


def estimate(
    workload: Workload,
    variant: Variant,
    pool: Pool,
    profiles: Profiles,
    dispersion: float,
    factor: float,
    sizing_rps: float = 0.0,
) -> ServiceEstimate:
    """The corrected rate within the SLO of one replica of `variant` in `pool`; None where no profile is known.

    `dispersion` is that of all arrivals of the workload; `sizing_rps` says over how many replicas they spread.
    """
    profile = profiles.get((workload.id, variant.name, pool.hardware))
    if profile is None:
        return ServiceEstimate(
            workload=workload.id,
            variant=variant.name,
            pool=pool.name,
            rate_rps=None,
            latency_s=None,
            startup_s=pool.startup_prior_s,
            provenance=None,
        )
    share = shared_dispersion(profile, workload, dispersion, sizing_rps / factor)
    rate = factor * modelled_rate(profile, workload, share)
    return ServiceEstimate(
        workload=workload.id,
        variant=variant.name,
        pool=pool.name,
        rate_rps=rate,
        latency_s=workload.slo.latency_s if rate > 0 else profile.base_s + profile.per_item_s,
        startup_s=profile.startup_s if profile.startup_s is not None else pool.startup_prior_s,
        provenance=profile.provenance,
        server=_server(profile),
        dispersion=_rounded(share),
        factor=factor,
    )


def shared_dispersion(
    profile: ServiceProfile, workload: Workload, dispersion: float, sizing_rps: float
) -> float:
    """Dispersion of what one replica gets when requests spread at random over as many as are needed.

    Of a clump, each of n replicas sees its nth part: variance over mean falls from d to 1 + (d - 1) / n. It depends on
    how many are needed, not on how many run, so that a plan that was applied stays the plan. Worked number: d = 4 over
    3 replicas is 2 at each.
    """
    poisson_rps = modelled_rate(profile, workload, 1.0)
    if poisson_rps <= 0:
        return dispersion
    replicas = max(1, workload.min_replicas, ceil(sizing_rps / poisson_rps))
    share = 1 + (dispersion - 1) / replicas
    while (
        replicas < workload.max_replicas
        and replicas * modelled_rate(profile, workload, share) < sizing_rps
    ):
        replicas += 1
        share = 1 + (dispersion - 1) / replicas
    return share


def modelled_rate(profile: ServiceProfile, workload: Workload, dispersion: float) -> float:
    """The model's rate within the SLO, before correction. Dispersion is rounded so that answers are reused."""
    return rate_within(
        _server(profile),
        workload.slo.latency_s,
        workload.slo.quantile_fraction,
        _rounded(dispersion),
    )


def correct(
    workload: Workload,
    observation: Observation,
    policy: Policy,
    state: PlannerState,
    demand: DemandEstimate | None,
    modelled_total_rps: float,
) -> Correction:
    """Moves the correction of a workload by one step where measured latency contradicts the model.

    Down when more requests are late than the SLO allows although the replicas are not offered more than the corrected
    model says they serve, and have nothing to catch up with; up when the SLO holds although they are offered more. As
    capacity is sized so that they rarely are, a correction below 1 also returns slowly while the SLO holds.
    `modelled_total_rps` is the sum of the uncorrected rates of the ready replicas.
    """
    before = next((c for c in state.corrections if c.workload == workload.id), None)
    if before is None:
        before = Correction(workload=workload.id, factor=1.0, as_of=observation.at)
    reading = next((r for r in observation.readings if r.workload == workload.id), None)
    due = observation.at - before.as_of >= timedelta(seconds=CORRECTION_INTERVAL_S)
    if (
        demand is None
        or reading is None
        or reading.latency is None
        or not due
        or modelled_total_rps <= 0
    ):
        return before
    if sum(reading.latency.counts) < ENOUGH_ANSWERS:
        return before
    late = missed_fraction(reading, workload.slo.latency_s) > 1 - workload.slo.quantile_fraction
    factor = _corrected(before.factor, late, demand, before.factor * modelled_total_rps)
    low, high = policy.correction_limits
    return replace(before, factor=min(high, max(low, factor)), as_of=observation.at)


def _corrected(factor: float, late: bool, demand: DemandEstimate, believed_rps: float) -> float:
    if late:
        explained = (
            demand.rate_rps > believed_rps or demand.refused_rps > 0 or demand.backlog_rps > 0
        )
        return factor if explained else factor * DOWN_STEP
    if demand.rate_rps > believed_rps:
        return factor * UP_STEP
    return max(factor, min(1.0, factor * RECOVERY_STEP))


def missed_fraction(reading: LoadReading, threshold_s: float) -> float:
    """Share of answered requests above the threshold; a bucket that straddles it is taken as evenly filled.

    Worked number: of 100 answers between 100 and 150 ms, 60 took longer than 120 ms.
    """
    if reading.latency is None or sum(reading.latency.counts) == 0:
        return 0.0
    return _above(reading.latency, threshold_s) / sum(reading.latency.counts)


def quantile_s(latency: LatencyCounts | None, fraction: float) -> float | None:
    """The upper bound of the bucket that holds the quantile; None without answers or above all bounds."""
    if latency is None or (total := sum(latency.counts)) == 0:
        return None
    reached = 0.0
    for bound, count in zip(latency.bounds_s, latency.counts, strict=False):
        reached += count
        if reached >= fraction * total:
            return bound
    return None


def ready_count(observation: Observation, workload: WorkloadId) -> int:
    """Ready replicas of a workload."""
    return sum(
        1 for r in observation.replicas if r.workload == workload and r.phase is ReplicaPhase.READY
    )


def _server(profile: ServiceProfile) -> BatchServer:
    return BatchServer(
        base_s=profile.base_s,
        per_item_s=profile.per_item_s,
        maximum_batch_size=profile.maximum_batch_size,
    )


def _rounded(dispersion: float) -> float:
    return round(2 * dispersion) / 2


def _above(latency: LatencyCounts, threshold_s: float) -> float:
    above, lower = 0.0, 0.0
    for bound, count in zip(latency.bounds_s, latency.counts, strict=False):
        if bound > threshold_s * (1 + 1e-9):
            above += count * min(1.0, (bound - threshold_s) / (bound - lower))
        lower = bound
    return above + sum(latency.counts[len(latency.bounds_s) :])
