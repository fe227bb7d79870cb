"""What is believed of one workload this tick, before anything is given out: demand, rates, places, and its size.

Everything here looks at one workload alone; the planner then weighs them against each other.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import fsum

from farthing.core import candidates, capacity, demand, interruptions, launches
from farthing.core.beliefs import DemandEstimate, ServiceEstimate
from farthing.core.candidates import Candidate, Excluded, Mix
from farthing.core.domain import Observation, ReasonCode, ReplicaPhase, Workload
from farthing.core.policy import Policy
from farthing.core.state import Correction, PlannerState


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """What is believed of one workload this tick."""

    demand: DemandEstimate | None
    correction: Correction
    usable: tuple[Candidate, ...]
    excluded: tuple[Excluded, ...]
    estimates: tuple[ServiceEstimate, ...]
    asked: Mix
    """What the cluster is asked for, surges left out."""
    interrupted: Mix
    lasting: Mix
    """Of what is asked for, the replicas that are not under notice."""
    sizing_rps: float | None
    """What capacity is sized for; None to hold."""

    @property
    def stands(self) -> bool:
        """Whether nothing is decided this tick."""
        return self.sizing_rps is None


def assess(
    workload: Workload,
    observation: Observation,
    policy: Policy,
    state: PlannerState,
    known: capacity.Profiles,
) -> Assessment:
    """Looks at one workload: what is asked of it, what serves it, and how much of that is needed."""
    pools = {pool.name: pool for pool in observation.pools}
    ready = capacity.ready_count(observation, workload.id)
    startup_s = max((pools[p].startup_prior_s for p in workload.pools if p in pools), default=0.0)
    wanted = demand.estimate(workload, observation, policy, ready, startup_s)
    dispersion = wanted.dispersion if wanted is not None else 1.0
    sizing_rps = wanted.sizing_rps if wanted is not None else 0.0
    modelled = {
        (v.name, p): capacity.estimate(workload, v, pools[p], known, dispersion, 1.0, sizing_rps)
        for v in sorted(workload.variants, key=lambda v: v.name)
        for p in sorted(workload.pools)
        if p in pools
    }
    # An exact sum does not depend on the order of the replicas.
    total = fsum(
        modelled[r.variant, r.pool].rate_rps or 0.0
        for r in observation.replicas
        if r.workload == workload.id
        and r.phase is ReplicaPhase.READY
        and (r.variant, r.pool) in modelled
    )
    correction = capacity.correct(workload, observation, policy, state, wanted, total)
    estimates = tuple(
        replace(e, rate_rps=None if e.rate_rps is None else e.rate_rps * correction.factor)
        for e in modelled.values()
    )
    refused = frozenset(r.pool for r in state.refused_pools if r.retry_at > observation.at)
    interrupted = interruptions.under_notice(workload, observation)
    lasting = interruptions.lasting(workload, observation, state, interrupted)
    staying = launches.staying(workload, observation, lasting, refused)
    usable, excluded = candidates.list_candidates(
        workload, observation.pools, estimates, refused, policy, staying
    )
    belief = Assessment(
        demand=wanted,
        correction=correction,
        usable=usable,
        excluded=excluded,
        estimates=estimates,
        asked=interruptions.asked_for(workload, observation, state),
        interrupted=interrupted,
        lasting=lasting,
        sizing_rps=None,
    )
    return replace(belief, sizing_rps=_sizing_rps(workload, belief, observation))


def _sizing_rps(workload: Workload, belief: Assessment, observation: Observation) -> float | None:
    """What capacity is sized for, or None to hold.

    Before anything was ever asked for, the minimum is; without any profile, one replica is added at a time while the
    queue or the latency says so, in units of the (unknown) rate of one replica, for which 1.0 stands in.
    """
    total = sum(belief.asked.values())
    if workload.paused:
        return None
    if total == 0:
        return _unit(belief) * workload.min_replicas
    if workload.external_replicas is not None:
        return _unit(belief) * workload.external_replicas
    if belief.demand is None:
        return None
    if any(c.rate_rps for c in belief.usable):
        return belief.demand.sizing_rps
    if hopeless(belief):
        return float(total)
    starting = total - capacity.ready_count(observation, workload.id)
    reading = next(r for r in observation.readings if r.workload == workload.id)
    pressed = belief.demand.backlog_rps > 0 or capacity.missed_fraction(
        reading, workload.slo.latency_s
    ) > (1 - workload.slo.quantile_fraction)
    return float(total + 1) if pressed and starting <= 0 else float(total)


def hopeless(belief: Assessment) -> bool:
    """Whether even a lone request is late everywhere: more replicas would not help, fewer would serve even less."""
    late = {e.key for e in belief.excluded if e.reason is ReasonCode.MISSES_SLO}
    return any(c.key in late for c in belief.usable)


def _unit(belief: Assessment) -> float:
    return min((c.rate_rps for c in belief.usable if c.rate_rps), default=1.0)


def bounded(
    workload: Workload, usable: tuple[Candidate, ...]
) -> tuple[Workload, tuple[Candidate, ...]]:
    """Gives places without any known rate the unit rate, and an outside autoscaler its exact count."""
    if not any(c.rate_rps for c in usable):
        usable = tuple(replace(c, rate_rps=1.0) for c in usable)
    if workload.external_replicas is not None:
        count = workload.external_replicas
        workload = replace(workload, min_replicas=count, max_replicas=count)
    return workload, usable
