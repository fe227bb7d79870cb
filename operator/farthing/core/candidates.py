"""The places where a replica of a workload could run, with what each is worth and what each costs at the margin."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

from farthing.core.beliefs import ServiceEstimate
from farthing.core.domain import (
    CapacityType,
    Pool,
    PoolName,
    ReasonCode,
    Variant,
    VariantName,
    Workload,
)
from farthing.core.policy import Policy
from farthing.core.queueing import BatchServer, quantile_at

Key = tuple[VariantName, PoolName]
Mix = dict[Key, int]

NOTHING_NEW = (ReasonCode.UNPRICED, ReasonCode.SET_ASIDE)
UNKNOWN_RATE_DISCOUNT = 0.5
"""A pool where the workload was never seen is believed to serve this share of the slowest known one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One variant in one pool. Prices are per replica-hour; `rate_rps` None means no profile is known at all."""

    variant: VariantName
    pool: Pool
    slots: int
    rate_rps: float | None
    latency_s: float | None
    startup_s: float
    effective_per_hour: Decimal
    keep_per_hour: float
    """Marginal price of a replica that runs already: zero in committed capacity, else its price and its risk."""
    new_per_hour: float
    """The same for one that must start first: start-up is paid and serves nothing."""
    server: BatchServer | None = None
    dispersion: float = 1.0
    factor: float = 1.0
    assumed: bool = False
    """The rate is a guess from other places: used only where those do not suffice."""
    most: int | None = None
    """Replicas that may stay where nothing new is placed; None where there is no such limit."""

    def latency_at_s(self, share_rps: float, quantile_fraction: float) -> float | None:
        """The modelled quantile when each replica gets `share_rps`; None where that is not known or not stable.

        The share is taken to two digits, so that answers are reused.
        """
        if self.server is None:
            return None
        rate_rps = float(f"{share_rps / self.factor:.2g}")
        return quantile_at(self.server, rate_rps, quantile_fraction, self.dispersion)

    @property
    def key(self) -> Key:
        """Names it in a mix."""
        return self.variant, self.pool.name

    @property
    def is_spot(self) -> bool:
        """Whether the provider may take it back."""
        return self.pool.capacity_type is CapacityType.SPOT


@dataclass(frozen=True, slots=True, kw_only=True)
class Excluded:
    """A place that is not to be used, and why."""

    key: Key
    reason: ReasonCode
    message: str


def list_candidates(
    workload: Workload,
    pools: tuple[Pool, ...],
    estimates: tuple[ServiceEstimate, ...],
    refused: frozenset[PoolName],
    policy: Policy,
    staying: Mix | None = None,
) -> tuple[tuple[Candidate, ...], tuple[Excluded, ...]]:
    """Splits variant × pool into those that may be used and those that may not.

    A place that lost its price or refuses launches takes nothing new, but the replicas that stand there (`staying`)
    go on counting: it is both excluded and usable up to them. Where nothing at all keeps the SLO, late service is
    better than none: all such places are both, too.
    """
    by_key = {(e.variant, e.pool): e for e in estimates if e.workload == workload.id}
    dearest = max((p.price_per_slot_hour or Decimal(0) for p in pools), default=Decimal(0))
    known = [e.rate_rps for e in by_key.values() if e.rate_rps]
    fallback = UNKNOWN_RATE_DISCOUNT * min(known) if known else None
    usable: list[Candidate] = []
    late: list[Candidate] = []
    excluded: list[Excluded] = []
    for variant in workload.variants:
        for pool in sorted(pools, key=lambda p: p.name):
            if pool.name not in workload.pools:
                continue
            estimate = by_key[variant.name, pool.name]
            problem = _problem(workload, variant, pool, estimate, refused)
            candidate = _candidate(variant, pool, estimate, fallback, dearest, policy)
            if problem is None:
                usable.append(candidate)
                continue
            excluded.append(Excluded(key=candidate.key, reason=problem[0], message=problem[1]))
            count = (staying or {}).get(candidate.key, 0)
            if problem[0] in NOTHING_NEW and count > 0 and estimate.rate_rps != 0:
                usable.append(replace(candidate, most=count))
            elif problem[0] is ReasonCode.MISSES_SLO:
                late.append(replace(candidate, rate_rps=None))
    return tuple(usable or late), tuple(excluded)


def prices(workload: Workload, pools: tuple[Pool, ...]) -> dict[Key, Decimal]:
    """Effective price of a replica-hour in every place that has one, usable or not."""
    return {
        (variant.name, pool.name): pool.price_per_slot_hour * variant.slots
        for variant in workload.variants
        for pool in pools
        if pool.price_per_slot_hour is not None
    }


def _problem(
    workload: Workload,
    variant: Variant,
    pool: Pool,
    estimate: ServiceEstimate,
    refused: frozenset[PoolName],
) -> tuple[ReasonCode, str] | None:
    floor = workload.minimum_accuracy_fraction
    if (
        floor is not None
        and variant.accuracy_fraction is not None
        and variant.accuracy_fraction < floor
    ):
        return ReasonCode.BELOW_ACCURACY, (
            f"accuracy {variant.accuracy_fraction:.1%} is below the floor of {floor:.1%}"
        )
    if pool.price_per_slot_hour is None:
        return ReasonCode.UNPRICED, "the pool has no price"
    if pool.capacity_type is CapacityType.SPOT and not workload.spot_allowed:
        return ReasonCode.SPOT_FORBIDDEN, "placement.spot is Forbid"
    if pool.name in refused:
        return ReasonCode.SET_ASIDE, "launches were refused; the pool is probed again later"
    if estimate.rate_rps is not None and estimate.rate_rps <= 0:
        return ReasonCode.MISSES_SLO, (
            f"a lone request takes {(estimate.latency_s or 0) * 1000:.0f} ms, the SLO is "
            f"{workload.slo.latency_s * 1000:.0f} ms"
        )
    return None


def _candidate(
    variant: Variant,
    pool: Pool,
    estimate: ServiceEstimate,
    fallback_rps: float | None,
    dearest: Decimal,
    policy: Policy,
) -> Candidate:
    price = (pool.price_per_slot_hour or Decimal(0)) * variant.slots
    keep = 0.0 if pool.capacity_type is CapacityType.RESERVED else float(price)
    if pool.capacity_type is CapacityType.SPOT:
        keep += _interruption_per_hour(
            pool, float(price), float(dearest) * variant.slots, estimate, policy
        )
    waste = 0.0 if pool.capacity_type is CapacityType.RESERVED else float(price)
    return Candidate(
        variant=variant.name,
        pool=pool,
        slots=variant.slots,
        rate_rps=estimate.rate_rps if estimate.rate_rps is not None else fallback_rps,
        latency_s=estimate.latency_s,
        startup_s=estimate.startup_s,
        effective_per_hour=price,
        keep_per_hour=keep,
        new_per_hour=keep + waste * estimate.startup_s / policy.expected_life_s,
        assumed=estimate.rate_rps is None and fallback_rps is not None,
        server=estimate.server,
        dispersion=estimate.dispersion,
        factor=estimate.factor,
    )


def _interruption_per_hour(
    pool: Pool, price: float, dearest: float, estimate: ServiceEstimate, policy: Policy
) -> float:
    """Expected cost of interruptions per replica-hour: late requests until a replacement is ready, and its start-up.

    Worked number: 0.12 per hour, 180 s of start-up, 30 s of notice, prices 0.284 here and 0.70 at the dearest:
    0.12 × (12 × 0.70 × 150 / 3600 + 0.284 × 180 / 3600) = 0.12 × (0.350 + 0.0142) = 0.0437 per hour.
    """
    uncovered_s = max(0.0, estimate.startup_s - pool.notice_s)
    late = policy.missed_request_price_ratio * dearest * uncovered_s / 3600
    return pool.interruptions_per_hour * (late + price * estimate.startup_s / 3600)
