"""Spend: the exact integral of a price step function over the lifetimes of replicas.

A replica costs from the instant it got its node until it is gone, at the pool's price per slot-hour. Each tick adds
the pieces since the last one, so prices may change between ticks. Committed capacity is charged to those who use it
at the same effective price; its marginal price being zero matters to the allocation, not to the bill.

Worked number: one replica of 2 slots at 0.30 per slot-hour for 90 s costs 0.30 × 2 × 90 / 3600 = 0.015.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from farthing.core.calendar import period_bounds
from farthing.core.domain import (
    CapacityType,
    Observation,
    Pool,
    PoolName,
    Replica,
    VariantName,
    Workload,
    WorkloadId,
)
from farthing.core.state import (
    BudgetSpend,
    NamespaceSpend,
    PlannerState,
    PoolSpend,
    RunningReplica,
    WorkloadSpend,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """One replica's cost over one piece of time."""

    workload: WorkloadId
    pool: PoolName
    capacity_type: CapacityType
    price_per_hour: Decimal
    start: datetime
    end: datetime

    def after(self, instant: datetime) -> Decimal:
        """Money-microseconds of the part of this charge that lies after `instant`."""
        start = max(self.start, instant)
        if start >= self.end:
            return Decimal(0)
        return self.price_per_hour * ((self.end - start) // timedelta(microseconds=1))


def account(observation: Observation, state: PlannerState) -> PlannerState:
    """Charges everything up to `observation.at` and counts what was answered; returns the new state."""
    charges = tuple(_charges(observation, state))
    slots = _slots(observation)
    answered, totals = _answered(observation, state)
    return replace(
        state,
        workload_spends=_workload_spends(observation, charges, answered, state),
        budget_spends=_budget_spends(observation, charges, state),
        running=tuple(
            RunningReplica(name=r.name, workload=r.workload, pool=r.pool, slots=_slots_of(slots, r))
            for r in sorted(observation.replicas, key=lambda r: (r.workload, r.name))
            if r.started_at is not None
        ),
        before=(),
        answered_totals=totals,
    )


def _workload_spends(
    observation: Observation,
    charges: tuple[Charge, ...],
    answered: Mapping[WorkloadId, float],
    state: PlannerState,
) -> tuple[WorkloadSpend, ...]:
    """One of each workload; of one not seen now, what it spent is kept until its period is over.

    Otherwise a service whose spec cannot be read for a moment, or that is deleted and applied again, would start with
    a full budget.
    """
    here = {workload.id for workload in observation.workloads}
    own: dict[WorkloadId, list[Charge]] = defaultdict(list)
    for charge in charges:
        own[charge.workload].append(charge)
    before = {s.workload: s for s in state.workload_spends}
    found = [
        _charge_workload(w, observation.at, own[w.id], answered.get(w.id, 0.0), before.get(w.id))
        for w in observation.workloads
    ]
    found += [
        s
        for s in state.workload_spends
        if s.workload not in here and period_bounds(observation.at, s.period)[0] == s.period_start
    ]
    return tuple(sorted(found, key=lambda s: s.workload))


def _budget_spends(
    observation: Observation, charges: tuple[Charge, ...], state: PlannerState
) -> tuple[BudgetSpend, ...]:
    names = sorted(budget.name for budget in observation.cluster_budgets)
    return tuple(_charge_budget(observation, name, charges, state) for name in names)


def cost_per_hour(slots: int, pool: Pool, replicas: int) -> Decimal:
    """Effective cost of `replicas` of `slots` slots each; an unpriced pool adds nothing here and is reported apart."""
    return (pool.price_per_slot_hour or Decimal(0)) * slots * replicas


def _charges(observation: Observation, state: PlannerState) -> Iterable[Charge]:
    pools = {pool.name: pool for pool in observation.pools}
    slots = _slots(observation)
    for replica in observation.replicas:
        pool = pools.get(replica.pool)
        if replica.started_at is None or pool is None or pool.price_per_slot_hour is None:
            continue
        yield Charge(
            workload=replica.workload,
            pool=pool.name,
            capacity_type=pool.capacity_type,
            price_per_hour=pool.price_per_slot_hour * _slots_of(slots, replica),
            start=replica.started_at,
            end=observation.at,
        )
    yield from _vanished_before(observation, state, pools)
    present = {(replica.workload, replica.name) for replica in observation.replicas}
    for gone in state.running:
        pool = pools.get(gone.pool)
        if (
            (gone.workload, gone.name) in present
            or pool is None
            or pool.price_per_slot_hour is None
        ):
            continue
        yield Charge(
            workload=gone.workload,
            pool=pool.name,
            capacity_type=pool.capacity_type,
            price_per_hour=pool.price_per_slot_hour * gone.slots,
            start=datetime.min.replace(tzinfo=observation.at.tzinfo),
            end=observation.at,
        )


def _vanished_before(
    observation: Observation, state: PlannerState, pools: Mapping[PoolName, Pool]
) -> Iterable[Charge]:
    """What ran at the checkpoint of a restored state and is not there any more.

    When it went is not known, so it is charged up to now: too much by the time that nobody watched at the most, where
    charging nothing would let a budget be overspent unseen. Worked number: three ran at 12:00, one that started before
    then is left at 12:01: two replicas are charged for the minute.
    """
    for entry in state.before:
        pool = pools.get(entry.pool)
        if pool is None or pool.price_per_slot_hour is None:
            continue
        left = sum(
            1
            for r in observation.replicas
            if (r.workload, r.pool) == (entry.workload, entry.pool)
            and r.started_at is not None
            and r.started_at <= entry.as_of
        )
        for _ in range(max(0, entry.count - left)):
            yield Charge(
                workload=entry.workload,
                pool=pool.name,
                capacity_type=pool.capacity_type,
                price_per_hour=pool.price_per_slot_hour * entry.slots,
                start=entry.as_of,
                end=observation.at,
            )


def _slots(observation: Observation) -> Mapping[tuple[WorkloadId, VariantName], int]:
    return {(w.id, v.name): v.slots for w in observation.workloads for v in w.variants}


def _slots_of(slots: Mapping[tuple[WorkloadId, VariantName], int], replica: Replica) -> int:
    """Slots of a replica; one where its workload or variant is no longer declared."""
    return slots.get((replica.workload, replica.variant), 1)


def _answered(
    observation: Observation, state: PlannerState
) -> tuple[Mapping[WorkloadId, float], tuple[tuple[WorkloadId, float], ...]]:
    before = dict(state.answered_totals)
    here = {workload.id for workload in observation.workloads}
    now = {workload: total for workload, total in before.items() if workload in here}
    answered: dict[WorkloadId, float] = {}
    for reading in observation.readings:
        known = before.get(reading.workload)
        # A sum of counters that fell means that a pod left with its count: what is left is not new.
        if known is not None and reading.answered_total >= known:
            answered[reading.workload] = reading.answered_total - known
        if reading.workload in here:
            now[reading.workload] = reading.answered_total
    return answered, tuple(sorted(now.items()))


def _charge_workload(
    workload: Workload,
    at: datetime,
    charges: Iterable[Charge],
    answered: float,
    previous: WorkloadSpend | None,
) -> WorkloadSpend:
    period_start, _ = period_bounds(at, workload.budget.period)
    if (
        previous is None
        or previous.period_start != period_start
        or previous.period is not workload.budget.period
    ):
        # A new period starts empty, and so does a workload never seen: its replicas are charged from their own start.
        previous = WorkloadSpend(
            workload=workload.id,
            period=workload.budget.period,
            period_start=period_start,
            charged_until=period_start,
        )
    entries = {entry.pool: entry for entry in previous.by_pool}
    for charge in charges:
        if (amount := charge.after(previous.charged_until)) == 0:
            continue
        entry = entries.get(
            charge.pool, PoolSpend(pool=charge.pool, capacity_type=charge.capacity_type)
        )
        entries[charge.pool] = replace(entry, money_microseconds=entry.money_microseconds + amount)
    return replace(
        previous,
        charged_until=at,
        by_pool=tuple(entries[name] for name in sorted(entries)),
        answered_requests=previous.answered_requests + answered,
    )


def _charge_budget(
    observation: Observation, name: str, charges: tuple[Charge, ...], state: PlannerState
) -> BudgetSpend:
    budget = next(b for b in observation.cluster_budgets if b.name == name)
    period_start, _ = period_bounds(observation.at, budget.period)
    previous = next((s for s in state.budget_spends if s.budget == name), None)
    if previous is None or previous.period_start != period_start:
        previous = BudgetSpend(budget=name, period_start=period_start, charged_until=period_start)
    entries = {entry.namespace: entry for entry in previous.by_namespace}
    for charge in charges:
        namespace = charge.workload.namespace
        if (
            namespace not in budget.namespaces
            or (amount := charge.after(previous.charged_until)) == 0
        ):
            continue
        entry = entries.get(namespace, NamespaceSpend(namespace=namespace))
        entries[namespace] = replace(entry, money_microseconds=entry.money_microseconds + amount)
    return replace(
        previous,
        charged_until=observation.at,
        by_namespace=tuple(entries[namespace] for namespace in sorted(entries)),
    )
