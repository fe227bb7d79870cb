"""The decision record: what was chosen, what lost and why, what stood in the way, what would reverse it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from math import ceil

from farthing.core.allocation import Allocation, total_per_hour
from farthing.core.beliefs import DemandEstimate
from farthing.core.candidates import Candidate, Excluded, Key, Mix
from farthing.core.domain import (
    Decision,
    Gap,
    InputAge,
    Observation,
    Option,
    ReasonCode,
    Shortfall,
    Workload,
)
from farthing.core.state import DecisionMark, PlannerState

MAXIMUM_OPTIONS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the planner settled on for one workload, before it is put into words."""

    mix: Mix
    current: Mix
    allocation: Allocation | None
    reason: ReasonCode
    kept: int
    interrupted: int
    prices: dict[Key, Decimal]
    """Of every place with a price, so that what runs where nothing new is placed is counted too."""


def record(
    workload: Workload,
    verdict: Verdict,
    candidates: tuple[Candidate, ...],
    excluded: tuple[Excluded, ...],
    demand: DemandEstimate | None,
    observation: Observation,
    state: PlannerState,
) -> tuple[Decision, DecisionMark]:
    """Writes the record; an unchanged decision keeps the id and the instant it had."""
    prices = verdict.prices
    binding = verdict.allocation.binding if verdict.allocation is not None else verdict.reason
    shortfall = _shortfall(workload, verdict, candidates, prices)
    content = f"{workload.id}|{plan_text(verdict.mix)}|{verdict.reason}|{binding}"
    mark = next((m for m in state.decided if m.workload == workload.id), None)
    if mark is None or mark.content != content:
        digest = hashlib.sha256(f"{content}|{observation.at.isoformat()}".encode()).hexdigest()
        mark = DecisionMark(
            workload=workload.id, content=content, id=f"d-{digest[:10]}", at=observation.at
        )
    latency_s = _latency_s(workload, verdict.mix, candidates, demand)
    # Weighed again once the speed is known of a place that was chosen without knowing it.
    if not mark.options or (mark.options[0].latency_s is None and latency_s is not None):
        mark = replace(
            mark, options=_options(workload, verdict, candidates, excluded, demand, prices)
        )
    decision = Decision(
        id=mark.id,
        at=mark.at,
        workload=workload.id,
        chosen=plan_text(verdict.mix),
        wanted_replicas=verdict.allocation.needed
        if verdict.allocation
        else sum(verdict.mix.values()),
        cost_per_hour=total_per_hour(verdict.mix, prices),
        options=mark.options,
        binding=binding,
        reason=verdict.reason,
        message=_message(workload, verdict, candidates, demand, shortfall, observation.gaps),
        reverses_when=_reverses_when(workload, verdict, candidates, demand),
        inputs=_inputs(workload, demand, observation),
        shortfall=shortfall,
    )
    return decision, mark


def plan_text(mix: Mix, *, named: bool = False) -> str:
    """`l4-reserved 2, l4-spot 1`; the variant is named where there are several, or where asked for."""
    if not any(mix.values()):
        return "nothing"
    several = named or len({variant for variant, _ in mix}) > 1
    return ", ".join(
        f"{pool}{f' ({variant})' if several else ''} {count}"
        for (variant, pool), count in sorted(mix.items(), key=lambda item: (item[0][1], item[0][0]))
        if count
    )


def _shortfall(
    workload: Workload,
    verdict: Verdict,
    candidates: tuple[Candidate, ...],
    prices: dict[Key, Decimal],
) -> Shortfall | None:
    allocation = verdict.allocation
    tight = (
        ReasonCode.SERVICE_BUDGET,
        ReasonCode.CLUSTER_BUDGET,
        ReasonCode.CAPACITY,
        ReasonCode.COST_PER_REQUEST,
    )
    if allocation is None or allocation.binding not in tight:
        return None
    missing = allocation.needed - sum(allocation.mix.values())
    extra = total_per_hour(allocation.unlimited_mix, prices) - total_per_hour(
        allocation.mix, prices
    )
    if missing > 0 and extra <= 0 and candidates:
        extra = missing * min(c.effective_per_hour for c in candidates)
    return Shortfall(
        workload=workload.id,
        replicas=max(0, missing),
        missing_per_hour=max(Decimal(0), extra),
        because=allocation.binding,
        limited_by=allocation.limited_by,
    )


def _options(
    workload: Workload,
    verdict: Verdict,
    candidates: tuple[Candidate, ...],
    excluded: tuple[Excluded, ...],
    demand: DemandEstimate | None,
    prices: dict[Key, Decimal],
) -> tuple[Option, ...]:
    chosen_cost = total_per_hour(verdict.mix, prices)
    options = [
        Option(
            plan=plan_text(verdict.mix),
            cost_per_hour=chosen_cost,
            latency_s=_latency_s(workload, verdict.mix, candidates, demand),
            chosen=True,
            reason=verdict.reason,
            message="cheapest mix that meets the SLO within the limits"
            if verdict.allocation is not None
            else "kept as it is",
        )
    ]
    if demand is not None:
        options += [
            option
            for candidate in candidates
            if (option := _single_pool(workload, candidate, demand, verdict.mix, chosen_cost))
            is not None
        ]
    options += [
        Option(
            plan=f"{item.key[1]} ({item.key[0]})",
            cost_per_hour=None,
            latency_s=None,
            chosen=False,
            reason=item.reason,
            message=item.message,
        )
        for item in excluded
    ]
    return tuple(options[:MAXIMUM_OPTIONS])


def _latency_s(
    workload: Workload,
    mix: Mix,
    candidates: tuple[Candidate, ...],
    demand: DemandEstimate | None,
) -> float | None:
    """The modelled quantile at an equal share of the demand, at the slowest place of the mix."""
    total = sum(mix.values())
    if demand is None or total == 0:
        return None
    share_rps, fraction = demand.sizing_rps / total, workload.slo.quantile_fraction
    found = [c.latency_at_s(share_rps, fraction) for c in candidates if mix.get(c.key)]
    known = [latency_s for latency_s in found if latency_s is not None]
    return max(known) if known and len(known) == len(found) else None


def _single_pool(
    workload: Workload,
    candidate: Candidate,
    demand: DemandEstimate,
    chosen: Mix,
    chosen_cost: Decimal,
) -> Option | None:
    """What serving everything in this one place would take, unless that is what was chosen."""
    if not candidate.rate_rps or candidate.most is not None:
        return None
    count = max(workload.min_replicas, ceil(demand.sizing_rps / candidate.rate_rps - 1e-9))
    if {candidate.key: count} == {key: n for key, n in chosen.items() if n}:
        return None
    if candidate.assumed and not chosen.get(candidate.key):
        return Option(
            plan=plan_text({candidate.key: count}, named=len(workload.variants) > 1),
            cost_per_hour=candidate.effective_per_hour * count,
            latency_s=None,
            chosen=False,
            reason=ReasonCode.UNPROFILED,
            message="never measured there: used only when the measured places have no room",
        )
    cost = candidate.effective_per_hour * count
    limit = candidate.pool.slot_limit
    if limit is not None and count * candidate.slots > limit:
        reason, message = ReasonCode.POOL_FULL, f"needs {count * candidate.slots} slots of {limit}"
    elif count > workload.max_replicas:
        reason, message = (
            ReasonCode.MAX_REPLICAS,
            f"needs {count} replicas, maxReplicas is {workload.max_replicas}",
        )
    elif candidate.is_spot and workload.minimum_non_spot_replicas > 0:
        reason, message = (
            ReasonCode.NON_SPOT_FLOOR,
            f"{workload.minimum_non_spot_replicas} replicas must not be on spot",
        )
    elif cost > chosen_cost:
        reason, message = ReasonCode.DEARER, f"{cost - chosen_cost:f} per hour dearer"
    else:
        reason, message = (
            ReasonCode.DEARER,
            "dearer at the margin: committed slots, start-up or interruption risk count",
        )
    return Option(
        plan=plan_text({candidate.key: count}, named=len(workload.variants) > 1),
        cost_per_hour=cost,
        latency_s=_latency_s(workload, {candidate.key: count}, (candidate,), demand),
        chosen=False,
        reason=reason,
        message=message,
    )


def _message(
    workload: Workload,
    verdict: Verdict,
    candidates: tuple[Candidate, ...],
    demand: DemandEstimate | None,
    shortfall: Shortfall | None,
    gaps: Sequence[Gap],
) -> str:
    total = sum(verdict.mix.values())
    if verdict.reason is ReasonCode.PAUSED:
        return f"left at {total}: paused"
    if demand is None and verdict.allocation is not None:
        return f"{total} replicas; nothing was measured yet" + _short(shortfall)
    if demand is None:
        because = next(
            (
                f"{g.missing} since {g.since:%H:%M:%S}: {g.because}"
                for g in gaps
                if g.subject == str(workload.id)
            ),
            "no reading",
        )
        return f"held at {total}: {because}"
    text = (
        f"{total} replica{'' if total == 1 else 's'} for {demand.sizing_rps:.1f} requests/s "
        f"({demand.rate_rps:.1f} now, {demand.queued:.0f} queued)"
    )
    rates = sorted(
        {round(c.rate_rps, 1) for c in candidates if c.rate_rps and c.key in verdict.mix}
    )
    if rates:
        text += f", {' or '.join(f'{r:g}' for r in rates)} requests/s each within the SLO"
    if verdict.kept > 0:
        text += f"; {verdict.kept} kept until starting again would be cheaper than keeping"
    if verdict.interrupted > 0:
        text += f"; {verdict.interrupted} under interruption notice, replacements asked for"
    return text + _short(shortfall)


def _short(shortfall: Shortfall | None) -> str:
    if shortfall is None:
        return ""
    return (
        f"; short by {shortfall.replicas} replicas, {shortfall.missing_per_hour:f} per hour, "
        f"limited by {shortfall.limited_by}"
    )


def _reverses_when(
    workload: Workload,
    verdict: Verdict,
    candidates: tuple[Candidate, ...],
    demand: DemandEstimate | None,
) -> str:
    if verdict.reason is ReasonCode.PAUSED:
        return "spec.paused is false"
    if demand is None:
        return "metrics answer again"
    rates = [c.rate_rps for c in candidates if c.rate_rps and verdict.mix.get(c.key)]
    if not rates:
        return "a profile is known"
    slowest, total = min(rates), sum(verdict.mix.values())
    parts = []
    if total < workload.max_replicas:
        parts.append(f"adds one above {slowest * total:.1f} requests/s")
    if total > workload.min_replicas:
        parts.append(f"removes one below {slowest * (total - 1):.1f} requests/s")
    return "; ".join(parts) or "minReplicas or maxReplicas change"


def _inputs(
    workload: Workload, demand: DemandEstimate | None, observation: Observation
) -> tuple[InputAge, ...]:
    gaps = tuple(
        InputAge(name=gap.missing, age_s=None, gap=gap.because)
        for gap in observation.gaps
        if gap.subject == str(workload.id)
    )
    if demand is None:
        return gaps or (InputAge(name="load", age_s=None, gap="no reading"),)
    return (InputAge(name=f"load ({demand.source})", age_s=round(demand.age_s, 1)), *gaps)
