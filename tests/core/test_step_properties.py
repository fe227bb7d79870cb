"""What every tick promises, for any observation that can be built."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.builders import AT, after, budget, pool, profile, reading, workload

from farthing.core.domain import (
    BudgetPeriod,
    CapacityType,
    ClusterBudget,
    Gap,
    LatencyCounts,
    Observation,
    Pool,
    PoolName,
    ReasonCode,
    Replica,
    ReplicaPhase,
    ServiceProfile,
    Target,
    Variant,
    VariantName,
    WhenExceeded,
    Workload,
    WorkloadId,
)
from farthing.core.planner import changes, step
from farthing.core.policy import Policy
from farthing.core.state import LoweringIntent, PlannerState, RefusedPool

POOLS = tuple(PoolName(name) for name in ("p0", "p1", "p2"))
IDS = tuple(WorkloadId(namespace=n, name="s") for n in ("a", "b", "c"))
VARIANTS = (
    Variant(name=VariantName("fp32"), accuracy_fraction=1.0),
    Variant(name=VariantName("int8"), accuracy_fraction=0.9, slots=2),
)
HARDWARE = ("L4", "H100")
POLICY = Policy()
MODELS = ((0.01, 0.01, 32), (0.3, 0.0, 1), (0.0, 0.02, 4))

SETTINGS = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def pools(draw: st.DrawFn, name: PoolName) -> Pool:
    return pool(
        name=name,
        capacity_type=draw(st.sampled_from(list(CapacityType))),
        hardware=draw(st.sampled_from(HARDWARE)),
        price=draw(st.sampled_from([None, "0", "0.10", "0.284", "0.70"])),
        maximum_slots=draw(st.sampled_from([None, 0, 3, 20])),
        committed_slots=draw(st.sampled_from([0, 2, 5])),
        interruptions_per_hour=draw(st.sampled_from([0.0, 0.5])),
        startup_prior_s=draw(st.sampled_from([0.0, 30.0])),
    )


@st.composite
def workloads(draw: st.DrawFn, one: WorkloadId) -> Workload:
    least = draw(st.integers(1, 3))
    return workload(
        id=one,
        variants=draw(st.sampled_from([VARIANTS[:1], VARIANTS, VARIANTS[::-1]])),
        pools=tuple(draw(st.lists(st.sampled_from(POOLS), unique=True))),
        minimum_accuracy_fraction=draw(st.sampled_from([None, 0.95])),
        min_replicas=least,
        max_replicas=least + draw(st.integers(0, 6)),
        spot_allowed=draw(st.booleans()),
        minimum_non_spot_replicas=draw(st.integers(0, 2)),
        priority=draw(st.sampled_from([100, 200])),
        paused=draw(st.sampled_from([False, False, False, True])),
        external_replicas=draw(st.sampled_from([None, None, None, 4])),
        budget=budget(
            amount=Decimal(draw(st.sampled_from(["0", "2.00", "20.00", "900.00"]))),
            period=draw(st.sampled_from(list(BudgetPeriod))),
            when_exceeded=draw(st.sampled_from(list(WhenExceeded))),
            maximum_cost_per_thousand_requests=draw(
                st.sampled_from([None, Decimal("0.0005"), Decimal(1)])
            ),
        ),
    )


@st.composite
def replicas_of(draw: st.DrawFn, one: Workload) -> tuple[Replica, ...]:
    found = []
    for number in range(draw(st.integers(0, 5))):
        phase = draw(st.sampled_from(list(ReplicaPhase)))
        started = None if phase is ReplicaPhase.PENDING else after(-600)
        found.append(
            Replica(
                name=f"r{number}",
                workload=one.id,
                variant=draw(st.sampled_from(VARIANTS)).name,
                pool=draw(st.sampled_from(POOLS)),
                phase=phase,
                created_at=after(-draw(st.sampled_from([1.0, 700.0]))),
                started_at=started,
                interrupted_at=draw(st.sampled_from([None, None, AT])) if started else None,
            )
        )
    return tuple(found)


@st.composite
def targets_of(draw: st.DrawFn, one: Workload, there: tuple[Replica, ...]) -> tuple[Target, ...]:
    counts: dict[tuple[VariantName, PoolName], int] = {}
    for r in there:
        if r.phase is not ReplicaPhase.DRAINING:
            counts[r.variant, r.pool] = counts.get((r.variant, r.pool), 0) + 1
    if draw(st.booleans()):
        key = (draw(st.sampled_from(VARIANTS)).name, draw(st.sampled_from(POOLS)))
        counts[key] = counts.get(key, 0) + draw(st.integers(0, 3))
    return tuple(
        Target(workload=one.id, variant=key[0], pool=key[1], replicas=count)
        for key, count in sorted(counts.items())
    )


@st.composite
def profiles_of(draw: st.DrawFn, one: WorkloadId) -> tuple[ServiceProfile, ...]:
    return tuple(
        profile(
            workload=one,
            variant=variant.name,
            hardware=hardware,
            base_s=model[0],
            per_item_s=model[1],
            maximum_batch_size=model[2],
        )
        for variant in VARIANTS
        for hardware in HARDWARE
        if (model := draw(st.sampled_from([None, *MODELS]))) is not None
    )


@st.composite
def readings_of(draw: st.DrawFn, one: WorkloadId) -> tuple[Any, ...]:
    rate = draw(st.sampled_from([None, 0.0, 3.0, 60.0, 250.0, 5000.0]))
    if rate is None:
        return ()
    late = LatencyCounts(bounds_s=(0.1, 0.25), counts=(900.0, 0.0, draw(st.floats(0, 100))))
    arrivals = draw(st.sampled_from([(rate,) * 60, (0.0, 2 * rate) * 20, ()]))
    return (
        reading(
            rate,
            workload=one,
            arrivals=arrivals,
            refused=(0.0,) * len(arrivals),
            ends_at=after(-draw(st.sampled_from([0.0, 5.0, 30.0]))),
            queued=draw(st.sampled_from([0.0, 50.0])),
            latency=draw(st.sampled_from([None, late])),
        ),
    )


@st.composite
def observations(draw: st.DrawFn) -> Observation:
    several = tuple(draw(workloads(one)) for one in IDS[: draw(st.integers(0, 3))])
    there = {w.id: draw(replicas_of(w)) for w in several}
    return Observation(
        at=AT,
        workloads=several,
        pools=tuple(draw(pools(name)) for name in POOLS[: draw(st.integers(0, 3))]),
        replicas=tuple(r for w in several for r in there[w.id]),
        targets=tuple(t for w in several for t in draw(targets_of(w, there[w.id]))),
        readings=tuple(r for w in several for r in draw(readings_of(w.id))),
        profiles=tuple(p for w in several for p in draw(profiles_of(w.id))),
        cluster_budgets=tuple(
            ClusterBudget(
                name=name,
                namespaces=frozenset(draw(st.lists(st.sampled_from("abc"), unique=True))),
                amount=Decimal(draw(st.sampled_from(["0", "10.00", "500.00"]))),
                period=BudgetPeriod.DAY,
                when_exceeded=draw(st.sampled_from(list(WhenExceeded))),
            )
            for name in draw(st.sampled_from([(), ("one",), ("one", "two")]))
        ),
        gaps=(Gap(subject="a/s", missing="load", since=AT, because="no answer"),),
    )


@st.composite
def states(draw: st.DrawFn) -> PlannerState:
    if draw(st.booleans()):
        return PlannerState()
    return PlannerState(
        first_tick_at=after(-100),
        lowering=tuple(
            LoweringIntent(workload=one, variant=v.name, pool=p, since=after(-3600))
            for one in IDS
            for v in VARIANTS
            for p in POOLS
            if draw(st.booleans())
        ),
        refused_pools=tuple(
            RefusedPool(pool=p, retry_at=after(draw(st.sampled_from([-5, 50]))), refusals=1)
            for p in POOLS
            if draw(st.sampled_from([False, False, True]))
        ),
    )


def asked(seen: Observation, one: WorkloadId) -> dict[Any, int]:
    return {(t.variant, t.pool): t.replicas for t in seen.targets if t.workload == one}


def under_notice(seen: Observation, one: WorkloadId) -> int:
    return sum(r.interrupted_at is not None for r in seen.replicas if r.workload == one)


@SETTINGS
@given(seen=observations(), state=states())
def test_a_tick_answers_any_observation_and_the_same_again(
    seen: Observation, state: PlannerState
) -> None:
    first = step(seen, POLICY, state)
    assert step(seen, POLICY, state) == first
    assert [d.workload for d in first.plan.decisions] == sorted(w.id for w in seen.workloads)
    assert all(t.replicas >= 0 for t in first.plan.targets)
    assert all(d.message and d.reverses_when and d.options for d in first.plan.decisions)
    named = {(t.workload, t.variant, t.pool) for t in first.plan.targets}
    assert all((t.workload, t.variant, t.pool) in named for t in seen.targets)


@SETTINGS
@given(seen=observations(), state=states(), data=st.data())
def test_the_order_in_which_things_are_seen_changes_nothing(
    seen: Observation, state: PlannerState, data: st.DataObject
) -> None:
    def shuffled(values: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(data.draw(st.permutations(values)))

    other = replace(
        seen,
        workloads=tuple(replace(w, pools=shuffled(w.pools)) for w in shuffled(seen.workloads)),
        pools=shuffled(seen.pools),
        replicas=shuffled(seen.replicas),
        targets=shuffled(seen.targets),
        readings=shuffled(seen.readings),
        profiles=shuffled(seen.profiles),
        cluster_budgets=shuffled(seen.cluster_budgets),
    )
    assert step(other, POLICY, state) == step(seen, POLICY, state)


def settled(seen: Observation, targets: tuple[Target, ...]) -> Observation:
    """The plan, carried out: every replica is ready."""
    there = tuple(
        Replica(
            name=f"{t.variant}-{t.pool}-{number}",
            workload=t.workload,
            variant=t.variant,
            pool=t.pool,
            phase=ReplicaPhase.READY,
            created_at=after(-100),
            started_at=AT,
        )
        for t in targets
        for number in range(t.replicas)
    )
    return replace(seen, targets=tuple(t for t in targets if t.replicas), replicas=there)


@SETTINGS
@given(seen=observations(), state=states())
def test_a_plan_that_was_carried_out_stays_the_plan(seen: Observation, state: PlannerState) -> None:
    seen = settled(seen, ())
    # A plan of many moves takes several rounds; then nothing moves any more.
    for _ in range(40):
        taken = step(seen, POLICY, state)
        waited = tuple(replace(i, since=after(-3600)) for i in taken.state.lowering)
        state = replace(taken.state, lowering=waited)
        if not changes(seen, taken.plan):
            break
        seen = settled(seen, taken.plan.targets)
    again = step(seen, POLICY, state)
    assert changes(seen, again.plan) == ()
    once_more = step(seen, POLICY, again.state)
    assert once_more.plan == again.plan
    assert [d.id for d in once_more.plan.decisions] == [d.id for d in again.plan.decisions]


@SETTINGS
@given(seen=observations(), state=states())
def test_targets_stay_within_every_limit(seen: Observation, state: PlannerState) -> None:
    taken = step(seen, POLICY, state)
    decided = {d.workload: d for d in taken.plan.decisions}
    used: dict[PoolName, int] = {}
    before: dict[PoolName, int] = {}
    for w in seen.workloads:
        slots = {v.name: v.slots for v in w.variants}
        counts = {(t.variant, t.pool): t.replicas for t in taken.plan.targets if t.workload == w.id}
        for (variant, name), count in counts.items():
            used[name] = used.get(name, 0) + count * slots.get(variant, 1)
        for (variant, name), count in asked(seen, w.id).items():
            before[name] = before.get(name, 0) + count * slots.get(variant, 1)
        if decided[w.id].reason in (ReasonCode.PAUSED, ReasonCode.HELD_ON_GAP):
            continue
        most = w.max_replicas if w.external_replicas is None else w.external_replicas
        # One more for a move, and one for each under notice.
        assert sum(counts.values()) <= most + 1 + under_notice(seen, w.id)
    for p in seen.pools:
        if p.slot_limit is None:
            continue
        noticed = 2 * sum(r.interrupted_at is not None and r.pool == p.name for r in seen.replicas)
        held = any(
            d.reason in (ReasonCode.PAUSED, ReasonCode.HELD_ON_GAP) for d in decided.values()
        )
        assert used.get(p.name, 0) <= max(
            p.slot_limit + noticed, before.get(p.name, 0) + noticed if held else 0
        )


@SETTINGS
@given(seen=observations(), state=states())
def test_no_plan_costs_more_than_its_caps(seen: Observation, state: PlannerState) -> None:
    plan = step(seen, POLICY, state).plan
    for standing in plan.service_budgets:
        paused = any(str(w.id) == standing.payer and w.paused for w in seen.workloads)
        if standing.allowed_per_hour is not None and not paused:
            assert standing.cost_per_hour <= standing.allowed_per_hour
    for standing in plan.cluster_budgets:
        payers = next(b.namespaces for b in seen.cluster_budgets if b.name == standing.payer)
        paused = any(w.id.namespace in payers and w.paused for w in seen.workloads)
        if standing.allowed_per_hour is not None and not paused:
            assert standing.cost_per_hour <= standing.allowed_per_hour


@SETTINGS
@given(seen=observations(), state=states())
def test_nothing_is_scaled_in_while_a_gap_exists(seen: Observation, state: PlannerState) -> None:
    free = tuple(
        replace(w, budget=budget(maximum_cost_per_thousand_requests=None)) for w in seen.workloads
    )
    blind = replace(seen, workloads=free, readings=(), cluster_budgets=())
    plan = step(blind, POLICY, state).plan
    wanted = {(t.workload, t.variant, t.pool): t.replicas for t in plan.targets}
    inside = {w.id for w in free if w.external_replicas is None}
    for target in blind.targets:
        if target.workload in inside:
            assert wanted[target.workload, target.variant, target.pool] >= target.replicas


@lru_cache
def cost_and_missing(seen: Observation) -> tuple[Decimal, int]:
    plan = step(seen, POLICY, PlannerState()).plan
    missing = sum(d.shortfall.replicas for d in plan.decisions if d.shortfall)
    return sum((d.cost_per_hour for d in plan.decisions), Decimal(0)), missing


@SETTINGS
@given(
    seen=observations(),
    limit=st.sampled_from([1, 2, 4]),
    rate_rps=st.sampled_from([10.0, 100.0, 300.0]),
)
def test_a_larger_pool_never_leaves_more_unserved(
    seen: Observation, limit: int, rate_rps: float
) -> None:
    one = workload(id=IDS[0], pools=POOLS, budget=budget())
    alone = replace(
        seen,
        workloads=(one,),
        replicas=(),
        targets=(Target(workload=IDS[0], variant=VARIANTS[0].name, pool=POOLS[0], replicas=1),),
        readings=(reading(rate_rps, workload=IDS[0]),),
        cluster_budgets=(),
    )
    tight = tuple(replace(p, maximum_slots=limit) for p in alone.pools)
    wide = tuple(replace(p, maximum_slots=limit + 3) for p in alone.pools)
    _, missing = cost_and_missing(replace(alone, pools=wide))
    assert missing <= cost_and_missing(replace(alone, pools=tight))[1]


@pytest.mark.parametrize("rates", [(10, 80, 200, 500, 900)])
def test_more_demand_never_needs_fewer_replicas_in_one_pool(rates: tuple[int, ...]) -> None:
    counts = []
    for rate in rates:
        seen = Observation(
            at=AT,
            workloads=(workload(pools=(POOLS[0],)),),
            pools=(pool(name=POOLS[0], capacity_type=CapacityType.ON_DEMAND, price="0.70"),),
            replicas=(),
            targets=(
                Target(workload=workload().id, variant=VARIANTS[0].name, pool=POOLS[0], replicas=1),
            ),
            readings=(reading(rate),),
            profiles=(profile(),),
        )
        counts.append(step(seen, POLICY, PlannerState()).plan.targets[0].replicas)
    assert counts == sorted(counts)
    assert counts == [1, 2, 3, 7, 13]
    assert timedelta(0) < timedelta(1)
