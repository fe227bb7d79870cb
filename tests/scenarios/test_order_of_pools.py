"""Which pools fill first follows from prices and risk, never from a fixed order of tiers."""

from __future__ import annotations

from decimal import Decimal

import pytest
from tests.builders import (
    AT,
    FP32,
    ON_DEMAND,
    RESERVED,
    SPOT,
    decide,
    observation,
    on_demand,
    pool,
    profile,
    reading,
    replicas,
    reserved,
    running,
    spot,
    target,
    targets,
    workload,
)

from farthing.core.domain import (
    CapacityType,
    PoolName,
    ReasonCode,
    ReplicaPhase,
    Variant,
    VariantName,
)


def load(rate_rps: float, **at_pools: int):
    """A load on one replica that runs already, so that there is a reading to believe."""
    return running(**at_pools or {"reserved": 1}) | {"readings": (reading(rate_rps),)}


@pytest.mark.parametrize(
    ("rate_rps", "plan"),
    [
        # One replica serves 74.8; sized for rate + 1.64 × sqrt(rate / 10 s).
        (50, targets(reserved=1)),  # 53.7
        (120, targets(reserved=2)),  # 125.7
        (200, targets(reserved=2, spot=1)),  # 207.3
        (400, targets(reserved=2, spot=4)),  # 410.4
    ],
)
def test_reserved_capacity_fills_first_and_then_spot(rate_rps: float, plan: object) -> None:
    assert decide(observation(**load(rate_rps))).plan.targets == plan


def test_on_demand_takes_what_spot_cannot_hold() -> None:
    pools = (reserved(), spot(maximum_slots=3), on_demand())
    step = decide(observation(pools=pools, **load(500)))
    # 511.6 / 74.8 = 6.8
    assert step.plan.targets == targets(reserved=2, spot=3, on_demand=2)


def test_on_demand_comes_before_dearer_spot() -> None:
    pools = (reserved(), spot(price="0.75"), on_demand())
    step = decide(observation(pools=pools, **load(400)))
    assert step.plan.targets == targets(reserved=2, on_demand=4)


def test_on_demand_comes_before_spot_whose_risk_makes_it_dearer() -> None:
    # 0.284 + 2 per hour × (12 × 0.70 × 150 s + 0.284 × 180 s) / 3600 = 1.01 per hour
    pools = (reserved(), spot(interruptions_per_hour=2.0), on_demand())
    step = decide(observation(pools=pools, **load(400)))
    assert step.plan.targets == targets(reserved=2, on_demand=4)


def test_forbidden_spot_is_never_used_however_short_capacity_is() -> None:
    pools = (reserved(), spot(), on_demand(maximum_slots=1))
    step = decide(observation(workloads=(workload(spot_allowed=False),), pools=pools, **load(400)))
    assert step.plan.targets == targets(reserved=2, on_demand=1)
    (decision,) = step.plan.decisions
    assert decision.binding is ReasonCode.CAPACITY
    assert [(o.plan, o.reason) for o in decision.options if o.cost_per_hour is None] == [
        ("spot (fp32)", ReasonCode.SPOT_FORBIDDEN)
    ]


def test_spot_that_was_forbidden_is_left_only_when_its_replacement_is_ready() -> None:
    forbidden = workload(spot_allowed=False, pools=(SPOT, ON_DEMAND))
    first = decide(observation(workloads=(forbidden,), **load(100, spot=2)))
    assert first.plan.targets == targets(spot=2, on_demand=2)
    for minute, phase, plan in (
        (2, ReplicaPhase.STARTING, targets(spot=2, on_demand=2)),
        (3, ReplicaPhase.READY, targets(spot=0, on_demand=2)),
    ):
        at = AT.replace(minute=minute)
        later = decide(
            observation(
                at=at,
                workloads=(forbidden,),
                replicas=replicas(2, SPOT) + replicas(2, ON_DEMAND, phase=phase),
                targets=first.plan.targets,
                readings=(reading(100, ends_at=at),),
            ),
            first.state,
        )
        assert later.plan.targets == plan


def test_a_floor_keeps_that_many_replicas_off_spot() -> None:
    pools = (spot(), on_demand())
    floored = workload(pools=(SPOT, ON_DEMAND), minimum_non_spot_replicas=2)
    step = decide(observation(workloads=(floored,), pools=pools, **load(250, spot=1)))
    assert step.plan.targets == targets(spot=2, on_demand=2)


def test_reserved_replicas_count_for_the_floor() -> None:
    floored = workload(minimum_non_spot_replicas=2)
    step = decide(observation(workloads=(floored,), **load(250)))
    assert step.plan.targets == targets(reserved=2, spot=2)


INT8 = VariantName("int8")
BOTH = (Variant(name=FP32, accuracy_fraction=1.0), Variant(name=INT8, accuracy_fraction=0.97))
FASTER = profile(variant=INT8, base_s=0.005, per_item_s=0.005)


def both_variants(floor: float | None):
    accurate = workload(variants=BOTH, pools=(ON_DEMAND,), minimum_accuracy_fraction=floor)
    seen = running(on_demand=1) | {"readings": (reading(100),)}
    return observation(
        workloads=(accurate,), pools=(on_demand(),), profiles=(profile(), FASTER), **seen
    )


def test_the_faster_variant_is_used_where_accuracy_allows_it() -> None:
    # 105.2: one of int8 (about 170 each) instead of two of fp32; the old one stays until that is ready.
    step = decide(both_variants(0.95))
    assert step.plan.targets == (
        target(1, ON_DEMAND),
        target(1, ON_DEMAND, variant=INT8),
    )


def test_a_variant_below_the_accuracy_floor_is_not_used() -> None:
    step = decide(both_variants(0.99))
    assert step.plan.targets == targets(on_demand=2)
    assert ReasonCode.BELOW_ACCURACY in {o.reason for o in step.plan.decisions[0].options}


A10, H100 = PoolName("a10"), PoolName("h100")


@pytest.mark.parametrize(
    ("rate_rps", "plan"),
    [
        # a10 serves 74.8 for 0.80 per hour (1.07 per 100 rps), h100 about 300 for 2.40 (0.80 per 100 rps).
        # Sized 53.7: a10 × 1 = 0.80 < h100 × 1 = 2.40
        (50, {A10: 1}),
        # Sized 207.3: a10 × 3 = 2.40 + start-ups, h100 × 1 = 2.40 + one start-up; one a10 runs: 0.80 + 2 × 0.84 = 2.48
        # < 2.52
        (200, {A10: 3}),
        # Sized 259.2: a10 × 4 = 0.80 + 3 × 0.84 = 3.32 > h100 × 1 = 2.52; the a10 stays until the h100 is ready.
        (251, {A10: 1, H100: 1}),
    ],
)
def test_cost_per_request_decides_which_hardware_serves_at_each_load(
    rate_rps: float, plan: dict[PoolName, int]
) -> None:
    pools = (
        pool(name=A10, capacity_type=CapacityType.ON_DEMAND, price="0.80"),
        pool(name=H100, capacity_type=CapacityType.ON_DEMAND, price="2.40", hardware="H100"),
    )
    seen = observation(
        workloads=(workload(pools=(A10, H100)),),
        pools=pools,
        profiles=(profile(), profile(hardware="H100", base_s=0.002, per_item_s=0.003)),
        replicas=replicas(1, A10),
        targets=(target(1, A10),),
        readings=(reading(rate_rps),),
    )
    assert decide(seen).plan.targets == tuple(
        target(count, name) for name, count in sorted(plan.items())
    )


def test_a_pool_without_a_price_gets_nothing_new() -> None:
    pools = (spot(price=None), on_demand())
    step = decide(
        observation(
            workloads=(workload(pools=(SPOT, ON_DEMAND)),), pools=pools, **load(250, on_demand=1)
        )
    )
    assert step.plan.targets == targets(on_demand=4)


def test_a_pool_that_loses_its_price_keeps_what_serves_there() -> None:
    pools = (spot(price=None), on_demand())
    step = decide(
        observation(
            workloads=(workload(pools=(SPOT, ON_DEMAND)),), pools=pools, **load(250, spot=3)
        )
    )
    assert step.plan.targets == targets(spot=3, on_demand=1)
    assert step.plan.decisions[0].cost_per_hour == Decimal("0.70")


def test_a_service_survives_the_loss_of_its_only_price() -> None:
    seen = observation(
        workloads=(workload(pools=(SPOT,)),), pools=(spot(price=None),), **load(250, spot=3)
    )
    assert decide(seen).plan.targets == targets(spot=3)


def test_a_service_whose_every_place_is_late_goes_on_serving() -> None:
    slow = profile(base_s=0.3)
    step = decide(observation(profiles=(slow,), **load(50, reserved=2)))
    assert step.plan.targets == targets(reserved=2)
    assert step.plan.decisions[0].reason is ReasonCode.MISSES_SLO


def test_a_place_that_is_late_is_left_for_one_that_is_not() -> None:
    seen = observation(
        pools=(on_demand(), spot(hardware="cpu")),
        workloads=(workload(pools=(SPOT, ON_DEMAND)),),
        profiles=(profile(), profile(hardware="cpu", base_s=0.3)),
        **load(50, spot=1),
    )
    # The late one goes when the other is ready.
    assert decide(seen).plan.targets == targets(spot=1, on_demand=1)


def test_a_workload_whose_pool_is_gone_moves_to_the_next() -> None:
    seen = observation(
        workloads=(workload(pools=(SPOT, ON_DEMAND)),), pools=(on_demand(),), **load(100, spot=2)
    )
    assert decide(seen).plan.targets == targets(spot=2, on_demand=2)


def test_a_workload_without_any_pool_names_that() -> None:
    step = decide(observation(workloads=(workload(pools=()),), pools=()))
    assert step.plan.targets == ()
    assert step.plan.decisions[0].reason is ReasonCode.NO_POOL
    assert RESERVED not in step.plan.decisions[0].chosen


CPU = PoolName("cpu")


def test_a_cheap_pool_where_the_model_was_never_measured_waits_until_the_known_ones_are_full() -> (
    None
):
    # Half the slowest known rate is assumed of the CPUs; 200 requests/s would then be cheaper with them.
    cpus = pool(name=CPU, capacity_type=CapacityType.ON_DEMAND, hardware="cpu", price="0.01")
    one = workload(pools=(CPU, ON_DEMAND))
    known = decide(
        observation(workloads=(one,), pools=(cpus, on_demand()), **load(200, on_demand=1))
    )
    assert known.plan.targets == targets(on_demand=3)
    assert [o.reason for o in known.plan.decisions[0].options if o.plan.startswith("cpu")] == [
        ReasonCode.UNPROFILED
    ]
    full = decide(
        observation(
            workloads=(one,), pools=(cpus, on_demand(maximum_slots=1)), **load(200, on_demand=1)
        )
    )
    # The replica that runs stays until the others are ready.
    assert [t.pool for t in full.plan.targets if t.replicas] == [CPU, ON_DEMAND]
