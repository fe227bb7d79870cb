"""Money is a limit inside the decision: it runs out smoothly, and the more important are served first."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from math import sin

import pytest
from tests.builders import (
    AT,
    ON_DEMAND,
    SENTIMENT,
    SPOT,
    after,
    budget,
    capped,
    decide,
    observation,
    on_demand,
    profile,
    reading,
    replicas,
    running,
    spot,
    target,
    targets,
    workload,
)
from tests.scenarios.plant import Plant

from farthing.core.domain import (
    BudgetPeriod,
    ClusterBudget,
    ReasonCode,
    Shortfall,
    Workload,
    WorkloadId,
)
from farthing.core.state import BudgetSpend, NamespaceSpend, PlannerState

MIDNIGHT = datetime(2026, 11, 25, tzinfo=UTC)


@pytest.mark.parametrize("amount", ["1.00", "12.00", "40.00", "100.00"])
def test_a_capped_budget_runs_out_smoothly_and_never_before_the_day(amount: str) -> None:
    plant = Plant(
        at=MIDNIGHT,
        workloads=(workload(budget=capped(amount)),),
        facts={"pools": observation().pools, "profiles": (profile(),)},
    )
    plant.run(1440, 60.0, lambda at: 350 + 250 * sin(at.hour / 24 * 6.28))
    spends = [s.plan.service_budgets[0].spent for s in plant.steps]
    assert spends == sorted(spends)
    assert spends[-1] <= Decimal(amount)
    for taken in plant.steps:
        standing = taken.plan.service_budgets[0]
        assert standing.allowed_per_hour is not None
        assert standing.cost_per_hour <= standing.allowed_per_hour
    if amount == "40.00":
        # Some money is left for every hour of the day.
        by_hour = [
            plant.steps[60 * hour].plan.service_budgets[0].cost_per_hour for hour in range(24)
        ]
        assert min(by_hour) > 0


def test_an_alert_changes_nothing_but_the_standing() -> None:
    spendthrift = workload(budget=budget(amount=Decimal("0.01")))
    step = decide(
        observation(workloads=(spendthrift,), readings=(reading(400),), **running(reserved=1))
    )
    assert step.plan.targets == targets(reserved=2, spot=4)
    (standing,) = step.plan.service_budgets
    assert standing.allowed_per_hour is None
    assert standing.forecast > standing.amount


def test_what_a_cap_does_not_pay_for_is_named_with_its_price() -> None:
    # 410.4 needs six on spot, 1.704 per hour. 0.284 of 4.45 is spent: 4.166 × 3 / 12 h = 1.0415 pays for three, 0.852.
    seen = observation(
        workloads=(workload(budget=capped("4.45"), pools=(SPOT, ON_DEMAND)),),
        readings=(reading(400),),
        **running(spot=1),
    )
    step = decide(seen)
    assert step.plan.targets == targets(spot=3)
    assert step.plan.decisions[0].shortfall == Shortfall(
        workload=SENTIMENT,
        replicas=3,
        missing_per_hour=Decimal("0.852"),
        because=ReasonCode.SERVICE_BUDGET,
        limited_by="spec.budget",
    )


def test_a_spent_cap_runs_nothing() -> None:
    seen = observation(
        workloads=(workload(budget=capped("0.20")),), readings=(reading(400),), **running(spot=1)
    )
    step = decide(seen)
    assert step.plan.targets == targets(spot=0)
    assert step.plan.decisions[0].binding is ReasonCode.SERVICE_BUDGET


def test_what_serves_is_not_given_up_to_pay_for_what_is_cheaper() -> None:
    seen = observation(
        workloads=(workload(budget=capped("3.82"), pools=(SPOT, ON_DEMAND)),),
        pools=(spot(), on_demand()),
        readings=(reading(60),),
        **running(on_demand=1),
    )
    # 3.82 - 0.70 = 3.12: 0.78 per hour pays for one of either, not for both.
    assert decide(seen).plan.targets == targets(on_demand=1)


def test_a_dear_replica_gives_way_where_its_money_serves_more() -> None:
    # 0.78 per hour: one on-demand replica now, two on spot instead; 125.7 needs two.
    seen = observation(
        at=after(70),
        workloads=(workload(budget=capped("3.83"), pools=(SPOT, ON_DEMAND)),),
        pools=(spot(), on_demand()),
        readings=(reading(120, ends_at=after(70)),),
        profiles=(profile(startup_s=30.0),),
        **running(on_demand=1),
    )
    first = decide(replace(seen, at=AT, readings=(reading(120),)))
    assert first.plan.targets == targets(on_demand=1)
    assert decide(seen, first.state).plan.targets == targets(on_demand=0, spot=2)


@pytest.mark.parametrize(
    ("limit", "rate_rps", "plan"),
    [
        # 0.0005 per thousand at 410.4 requests/s (1477 thousand per hour) is 0.739 per hour: two spot replicas.
        ("0.0005", 400, targets(spot=2)),
        ("0.01", 400, targets(spot=6)),
        # The fewest replicas are always worth their money.
        ("0.0005", 1, targets(spot=1)),
        ("0.0005", 0, targets(spot=1)),
    ],
)
def test_no_more_is_spent_on_a_thousand_requests_than_they_are_worth(
    limit: str, rate_rps: float, plan: object
) -> None:
    worth = budget(maximum_cost_per_thousand_requests=Decimal(limit))
    seen = observation(
        workloads=(workload(budget=worth, pools=(SPOT, ON_DEMAND)),),
        readings=(reading(rate_rps),),
        **running(spot=1),
    )
    step = decide(seen)
    assert step.plan.targets == plan
    if plan == targets(spot=2):
        assert step.plan.decisions[0].binding is ReasonCode.COST_PER_REQUEST


def test_the_fewest_replicas_are_paid_for_even_where_the_cheapest_pool_is_full() -> None:
    worth = budget(maximum_cost_per_thousand_requests=Decimal("0.0001"))
    seen = observation(
        workloads=(workload(budget=worth, pools=(SPOT, ON_DEMAND)),),
        pools=(spot(maximum_slots=0), on_demand()),
        readings=(reading(1),),
        **running(on_demand=1),
    )
    assert decide(seen).plan.targets == targets(on_demand=1)


# --- One cluster budget over three namespaces ---------------------------------------------------------------------


def service(namespace: str, name: str, priority: int) -> Workload:
    return workload(
        id=WorkloadId(namespace=namespace, name=name), priority=priority, pools=(SPOT, ON_DEMAND)
    )


SIX = tuple(
    service(namespace, name, priority)
    for namespace, name, priority in (
        ("a", "first", 600),
        ("a", "last", 100),
        ("b", "second", 500),
        ("b", "fifth", 200),
        ("c", "third", 400),
        ("c", "fourth", 300),
    )
)
EVERYONE = frozenset({"a", "b", "c"})


def six_services(amount: str):
    """Each needs three replicas on spot for 200 requests/s (207.3): 18 × 0.284 = 5.112 per hour."""
    return observation(
        workloads=SIX,
        pools=(spot(maximum_slots=100), on_demand()),
        profiles=tuple(profile(workload=w.id) for w in SIX),
        targets=tuple(target(1, SPOT, workload=w.id) for w in SIX),
        replicas=tuple(
            replace(r, name=f"{w.id}", workload=w.id, started_at=AT)
            for w in SIX
            for r in replicas(1)
        ),
        readings=tuple(reading(200, workload=w.id) for w in SIX),
        cluster_budgets=(
            ClusterBudget(
                name="inference",
                namespaces=EVERYONE,
                amount=Decimal(amount),
                period=BudgetPeriod.DAY,
            ),
        ),
    )


def test_a_cluster_budget_gives_what_there_is_to_the_more_important_first() -> None:
    # 70 % of 5.112 is 3.5784 per hour, 42.9408 for the twelve hours left: 12 replicas, 3.408.
    step = decide(six_services("42.9408"))
    counts = {str(t.workload): t.replicas for t in step.plan.targets}
    assert counts == {
        "a/first": 3,
        "b/second": 3,
        "c/third": 3,
        "c/fourth": 3,
        "b/fifth": 0,
        "a/last": 0,
    }
    short = {str(d.workload): d.shortfall for d in step.plan.decisions if d.shortfall}
    assert short == {
        name: Shortfall(
            workload=next(w.id for w in SIX if str(w.id) == name),
            replicas=3,
            missing_per_hour=Decimal("0.852"),
            because=ReasonCode.CLUSTER_BUDGET,
            limited_by="ClusterBudget inference",
        )
        for name in ("a/last", "b/fifth")
    }
    (standing,) = step.plan.cluster_budgets
    assert standing.cost_per_hour == Decimal("3.408")
    assert standing.allowed_per_hour == Decimal("3.5784")


def test_a_namespace_that_does_not_belong_to_a_cluster_budget_is_not_limited_by_it() -> None:
    seen = six_services("1.00")
    only_a = replace(seen.cluster_budgets[0], namespaces=frozenset({"a"}))
    step = decide(replace(seen, cluster_budgets=(only_a,)))
    counts = {str(t.workload): t.replicas for t in step.plan.targets}
    assert counts == {
        "a/first": 0,
        "b/second": 3,
        "c/third": 3,
        "c/fourth": 3,
        "b/fifth": 3,
        "a/last": 0,
    }


def test_a_cluster_budget_that_only_alerts_limits_nothing() -> None:
    seen = six_services("1.00")
    alert = replace(
        seen.cluster_budgets[0], when_exceeded=budget().when_exceeded, amount=Decimal(1)
    )
    step = decide(replace(seen, cluster_budgets=(alert,)))
    assert [t.replicas for t in step.plan.targets] == [3] * 6
    assert step.plan.cluster_budgets[0].allowed_per_hour is None


def test_a_cluster_budget_counts_what_its_namespaces_spent() -> None:
    spent = PlannerState(
        first_tick_at=AT,
        budget_spends=(
            BudgetSpend(
                budget="inference",
                period_start=MIDNIGHT,
                charged_until=AT,
                by_namespace=(
                    # 6.00 × 3.6e9 money-microseconds
                    NamespaceSpend(namespace="b", money_microseconds=Decimal(21_600_000_000)),
                ),
            ),
        ),
    )
    (standing,) = decide(six_services("48.00"), spent).plan.cluster_budgets
    assert (standing.spent, standing.allowed_per_hour) == (Decimal(6), Decimal("3.5"))


def test_demand_that_moves_never_takes_a_cluster_budget_past_its_limit() -> None:
    seen = six_services("42.9408")
    budget_of_all = seen.cluster_budgets[0]
    plant = Plant(
        at=AT,
        workloads=SIX,
        facts={
            "pools": seen.pools,
            "profiles": seen.profiles,
            "cluster_budgets": (budget_of_all,),
        },
        startup_s=10.0,
    )
    for second in range(0, 600, 5):
        rates = {w.id: 200 + 150 * sin(second / 40 + i) for i, w in enumerate(SIX)}
        if second in (200, 400):
            # Killed: only the spends were written down.
            plant.state = PlannerState(
                workload_spends=plant.state.workload_spends,
                budget_spends=plant.state.budget_spends,
            )
        taken = plant.tick(
            tuple(reading(rate, workload=key, ends_at=plant.at) for key, rate in rates.items())
        )
        (standing,) = taken.plan.cluster_budgets
        assert standing.allowed_per_hour is not None
        assert standing.cost_per_hour <= standing.allowed_per_hour
        if second >= 10:
            # 74.8 each: what the most important one gets covers its demand in every second.
            assert 74.8 * plant.count(workload=SIX[0].id) >= rates[SIX[0].id]
        plant.advance(5.0)
    assert plant.steps[-1].plan.cluster_budgets[0].spent <= Decimal("42.9408") * 10 / 720


def test_the_bill_divided_by_what_was_answered_is_the_cost_of_a_request() -> None:
    # One spot replica for an hour and 180,000 answered requests: 0.284 / 180.
    plant = Plant(
        at=AT,
        workloads=(workload(pools=(SPOT,)),),
        facts={"pools": (spot(),), "profiles": (profile(),)},
    )
    plant.run(361, 10.0, lambda _: 50.0)
    (spend,) = plant.state.workload_spends
    assert spend.amount == Decimal("0.284")
    assert spend.answered_requests == pytest.approx(180_000)
