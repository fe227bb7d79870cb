"""Money is exact: whatever the ticks, restarts and prices, each second of a replica is charged once."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.builders import (
    AT,
    FP32,
    ON_DEMAND,
    SENTIMENT,
    SPOT,
    after,
    budget,
    observation,
    on_demand,
    reading,
    replicas,
    spot,
    workload,
)

from farthing.core.domain import (
    BudgetPeriod,
    CapacityType,
    ClusterBudget,
    Observation,
    Variant,
    WorkloadId,
)
from farthing.core.spend import account, cost_per_hour
from farthing.core.state import (
    BudgetSpend,
    NamespaceSpend,
    PlannerState,
    PoolSpend,
    ReplicasBefore,
    RunningReplica,
    WorkloadSpend,
)

MIDNIGHT = AT.replace(hour=0)
TEAM = ClusterBudget(
    name="team", namespaces=frozenset({"shop"}), amount=Decimal(10), period=BudgetPeriod.DAY
)


def seen(second: float, count: int = 1, started: float = 0.0, **changes: Any) -> Observation:
    facts = {
        "at": after(second),
        "pools": (spot(price="0.30"),),
        "replicas": replicas(count, started_at=after(started)),
        "cluster_budgets": (TEAM,),
    }
    return observation(**facts | changes)


def money(price: str, seconds: float) -> Decimal:
    """Price per hour × seconds, in the unit that is added up."""
    return Decimal(price) * Decimal(str(seconds)) * 1_000_000


def test_a_replica_costs_its_price_for_its_time() -> None:
    # 2 slots × 0.30 per hour × 90 s = 0.015
    wide = workload(variants=(Variant(name=FP32, slots=2),))
    state = account(seen(90, workloads=(wide,)), PlannerState())
    spends = (
        WorkloadSpend(
            workload=SENTIMENT,
            period=BudgetPeriod.DAY,
            period_start=MIDNIGHT,
            charged_until=after(90),
            by_pool=(
                PoolSpend(
                    pool=SPOT,
                    capacity_type=CapacityType.SPOT,
                    money_microseconds=money("0.60", 90),
                ),
            ),
        ),
    )
    assert state == PlannerState(
        workload_spends=spends,
        budget_spends=(
            BudgetSpend(
                budget="team",
                period_start=MIDNIGHT,
                charged_until=after(90),
                by_namespace=(
                    NamespaceSpend(namespace="shop", money_microseconds=money("0.60", 90)),
                ),
            ),
        ),
        running=(RunningReplica(name="spot-0", workload=SENTIMENT, pool=SPOT, slots=2),),
    )
    assert spends[0].amount == state.budget_spends[0].amount == Decimal("0.015")


@given(cuts=st.lists(st.integers(1, 3_599_999_999), max_size=12), started_s=st.floats(0, 3000))
def test_any_ticks_add_up_to_the_same_money(cuts: list[int], started_s: float) -> None:
    whole = account(seen(3600, 3, started_s), PlannerState())
    state = PlannerState()
    for cut in [*sorted(cuts), 3_600_000_000]:
        at = AT + timedelta(microseconds=cut)
        born = after(started_s) <= at
        state = account(seen(0, 3 if born else 0, started_s, at=at), state)
    assert state == whole


def test_a_new_price_counts_from_the_tick_that_sees_it() -> None:
    state = account(seen(60), PlannerState())
    state = account(seen(120, pools=(spot(price="0.90"),)), state)
    assert state.workload_spends[0].by_pool[0].money_microseconds == money("0.30", 60) + money(
        "0.90", 60
    )


def test_a_replica_that_vanished_is_charged_up_to_the_tick_that_misses_it() -> None:
    state = account(seen(60), PlannerState())
    state = account(seen(70, 0), state)
    state = account(seen(80, 0), state)
    assert state.workload_spends[0].amount == Decimal("0.30") * 70 / 3600
    assert state.budget_spends[0].amount == Decimal("0.30") * 70 / 3600
    assert state.running == ()


def test_namesakes_in_two_namespaces_are_told_apart() -> None:
    other = WorkloadId(namespace="bank", name="sentiment")
    twin = replace(replicas(1, started_at=AT)[0], workload=other)
    both = (workload(), workload(id=other))
    state = account(
        seen(60, workloads=both, replicas=(*replicas(1, started_at=AT), twin)), PlannerState()
    )
    state = account(seen(120, workloads=both), state)
    assert [s.amount for s in state.workload_spends] == [Decimal("0.01")] * 2
    assert state.budget_spends[0].amount == Decimal("0.01")


def test_a_restart_with_restored_spends_neither_doubles_nor_loses() -> None:
    before = account(seen(60), PlannerState())
    restored = PlannerState(
        workload_spends=before.workload_spends, budget_spends=before.budget_spends
    )
    assert account(seen(120), restored) == account(seen(120), PlannerState())


def test_replicas_that_vanished_while_nobody_watched_are_charged_up_to_the_first_look() -> None:
    # Three ran from 0 s on and were charged until 60 s; at 120 s one of them is left and one is new since 90 s.
    before = account(seen(60, 3), PlannerState())
    restored = PlannerState(
        workload_spends=before.workload_spends,
        budget_spends=before.budget_spends,
        before=(ReplicasBefore(workload=SENTIMENT, pool=SPOT, slots=1, count=3, as_of=after(60)),),
    )
    one_left = replicas(1, started_at=AT)
    one_new = (replace(replicas(2, started_at=after(90))[1]),)
    state = account(seen(120, replicas=(*one_left, *one_new)), restored)
    # 3 × 60 s, then 60 s of the one left, 2 × 60 s of the vanished, 30 s of the new one: 390 s at 0.30 per hour.
    assert state.workload_spends[0].amount == Decimal("0.0325")
    assert state.budget_spends[0].amount == Decimal("0.0325")
    assert state.before == ()


def test_replicas_before_in_a_pool_without_a_price_or_gone_add_nothing() -> None:
    gone = ReplicasBefore(workload=SENTIMENT, pool=ON_DEMAND, slots=1, count=2, as_of=AT)
    state = account(seen(60, 0), PlannerState(before=(gone,)))
    assert state.workload_spends[0].by_pool == ()


def test_a_replica_without_a_node_costs_nothing() -> None:
    waiting = replicas(1, started_at=None)
    state = account(seen(60, replicas=waiting), PlannerState())
    assert state.workload_spends[0].by_pool == ()
    assert state.running == ()


def test_a_pool_without_a_price_or_gone_adds_nothing() -> None:
    running = account(seen(60), PlannerState())
    for pools in ((spot(price=None),), (on_demand(),)):
        assert account(seen(60, pools=pools), PlannerState()).workload_spends[0].by_pool == ()
        later = account(seen(120, 0, pools=pools), running)
        assert later.workload_spends[0].amount == running.workload_spends[0].amount


def test_a_replica_of_an_undeclared_variant_or_service_counts_one_slot() -> None:
    wide = workload(variants=(Variant(name=FP32, slots=2),))
    gone = replicas(1, started_at=AT, variant="int8")
    state = account(seen(60, workloads=(wide,), replicas=gone), PlannerState())
    assert state.workload_spends[0].amount == Decimal("0.005")
    state = account(seen(60, workloads=()), PlannerState())
    assert (state.workload_spends, state.budget_spends[0].amount) == ((), Decimal("0.005"))


def test_a_new_period_starts_empty_and_charges_from_its_start() -> None:
    hourly = workload(budget=budget(period=BudgetPeriod.HOUR))
    state = account(seen(3590, workloads=(hourly,)), PlannerState())
    assert state.workload_spends[0].amount == Decimal("0.30") * 3590 / 3600
    state = account(seen(3610, workloads=(hourly,)), state)
    assert state.workload_spends[0] == WorkloadSpend(
        workload=SENTIMENT,
        period=BudgetPeriod.HOUR,
        period_start=after(3600),
        charged_until=after(3610),
        by_pool=(
            PoolSpend(
                pool=SPOT, capacity_type=CapacityType.SPOT, money_microseconds=money("0.30", 10)
            ),
        ),
    )
    # The day of the cluster budget goes on.
    assert state.budget_spends[0].amount == Decimal("0.30") * 3610 / 3600


def test_a_replica_that_vanished_over_the_turn_is_charged_from_the_new_period_only() -> None:
    hourly = workload(budget=budget(period=BudgetPeriod.HOUR))
    state = account(seen(3590, workloads=(hourly,)), PlannerState())
    state = account(seen(3605, 0, workloads=(hourly,)), state)
    assert state.workload_spends[0].amount == Decimal("0.30") * 5 / 3600


def test_what_an_absent_service_spent_is_kept_until_its_period_is_over() -> None:
    before = account(seen(60), PlannerState())
    absent = account(seen(120, 0, workloads=()), before)
    assert absent.workload_spends == before.workload_spends
    tomorrow = account(seen(86_400, 0, workloads=()), absent)
    assert tomorrow.workload_spends == ()


def test_a_service_outside_the_cluster_budget_does_not_draw_on_it() -> None:
    other = replace(TEAM, namespaces=frozenset({"bank"}))
    assert account(seen(60, cluster_budgets=(other,)), PlannerState()).budget_spends[0] == (
        BudgetSpend(budget="team", period_start=MIDNIGHT, charged_until=after(60))
    )


def answered(second: float, total: float, **changes: Any) -> Observation:
    return seen(second, readings=(reading(1, answered_total=total),), **changes)


def test_answers_are_counted_from_the_first_reading_on() -> None:
    state = account(answered(0, 1000), PlannerState())
    state = account(answered(10, 1250), state)
    # A pod left with its count: what the others say is not new.
    state = account(answered(20, 400), state)
    state = account(answered(30, 460), state)
    # A tick without a reading loses nothing.
    state = account(seen(40), state)
    state = account(answered(50, 500), state)
    assert state.workload_spends[0].answered_requests == 250 + 60 + 40


def test_counts_of_services_that_are_gone_are_forgotten() -> None:
    state = account(answered(0, 1000), PlannerState())
    assert state.answered_totals == ((SENTIMENT, 1000.0),)
    assert account(answered(10, 1000, workloads=()), state).answered_totals == ()


def test_the_cost_of_replicas_is_price_by_slots_by_count() -> None:
    assert cost_per_hour(2, on_demand(), 3) == Decimal("4.20")
    assert cost_per_hour(2, spot(price=None), 3) == 0
