"""The cheapest mix of one workload is compared with enumerating all of them."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.builders import (
    FP32,
    ON_DEMAND,
    RESERVED,
    SPOT,
    on_demand,
    pool,
    reserved,
    spot,
    workload,
)

from farthing.core.allocation import (
    Allocation,
    Limit,
    Supply,
    allocate,
    cut_to_money,
    initial_supply,
    total_per_hour,
)
from farthing.core.candidates import Candidate, Mix
from farthing.core.domain import CapacityType, Pool, PoolName, ReasonCode, Workload

NAMES = (PoolName("p0"), PoolName("p1"), PoolName("p2"))
RATES = st.sampled_from([10.0, 20.0, 30.0, 75.0])
CENTS = st.integers(0, 100).map(lambda cents: Decimal(cents) / 100)


@st.composite
def places(draw: st.DrawFn) -> tuple[Candidate, ...]:
    found = []
    for name in NAMES[: draw(st.integers(1, 3))]:
        kind = draw(st.sampled_from(list(CapacityType)))
        price = draw(CENTS)
        committed = kind is CapacityType.RESERVED
        keep = 0.0 if committed else float(price) + draw(st.sampled_from([0.0, 0.05]))
        new = keep if committed else keep + float(price) * draw(st.sampled_from([0.0, 0.05]))
        found.append(
            Candidate(
                variant=FP32,
                pool=pool(name=name, capacity_type=kind, price=str(price)),
                slots=draw(st.integers(1, 2)),
                rate_rps=draw(RATES),
                latency_s=None,
                startup_s=60.0,
                effective_per_hour=price,
                keep_per_hour=keep,
                new_per_hour=new,
            )
        )
    return tuple(found)


def mixes(candidates: tuple[Candidate, ...], most: int) -> list[Mix]:
    counts = product(range(most + 1), repeat=len(candidates))
    return [
        {c.key: n for c, n in zip(candidates, one, strict=True) if n}
        for one in counts
        if sum(one) <= most
    ]


def served_rps(mix: Mix, candidates: tuple[Candidate, ...]) -> float:
    """An equal share each: the slowest sets it."""
    rates = {c.key: c.rate_rps or 0.0 for c in candidates}
    return sum(mix.values()) * min((rates[key] for key in mix), default=0.0)


def marginal(mix: Mix, candidates: tuple[Candidate, ...], running: Mix) -> float:
    cost = 0.0
    for c in candidates:
        kept = min(mix.get(c.key, 0), running.get(c.key, 0))
        cost += kept * c.keep_per_hour + (mix.get(c.key, 0) - kept) * c.new_per_hour
    return cost


def allowed(
    mix: Mix, candidates: tuple[Candidate, ...], one: Workload, supply: Supply, money: Limit | None
) -> bool:
    total = sum(mix.values())
    non_spot = sum(mix.get(c.key, 0) for c in candidates if not c.is_spot)
    price = sum((c.effective_per_hour * mix.get(c.key, 0) for c in candidates), Decimal(0))
    return (
        one.min_replicas <= total <= one.max_replicas
        and non_spot >= min(one.minimum_non_spot_replicas, total)
        and all(
            c.slots * mix.get(c.key, 0) <= supply.slots.get(c.pool.name, 10**6) for c in candidates
        )
        and (money is None or price <= money.per_hour)
    )


def limit(per_hour: str) -> Limit:
    return Limit(name="spec.budget", reason=ReasonCode.SERVICE_BUDGET, per_hour=Decimal(per_hour))


@settings(max_examples=400, deadline=None)
@given(
    candidates=places(),
    running=st.lists(st.integers(0, 3), min_size=3, max_size=3),
    sizing_rps=st.sampled_from([0.0, 5.0, 30.0, 61.0, 100.0, 150.0]),
    slots=st.lists(st.one_of(st.none(), st.integers(0, 6)), min_size=3, max_size=3),
    bounds=st.sampled_from([(1, 6), (2, 5), (3, 3)]),
    floor=st.integers(0, 3),
    money=st.one_of(st.none(), CENTS.map(lambda price: limit(str(price * 4)))),
)
def test_no_mix_serves_more_and_none_that_serves_everything_is_cheaper(
    candidates: tuple[Candidate, ...],
    running: list[int],
    sizing_rps: float,
    slots: list[int | None],
    bounds: tuple[int, int],
    floor: int,
    money: Limit | None,
) -> None:
    one = workload(min_replicas=bounds[0], max_replicas=bounds[1], minimum_non_spot_replicas=floor)
    stands = {c.key: n for c, n in zip(candidates, running, strict=False)}
    free = {name: n for name, n in zip(NAMES, slots, strict=True) if n is not None}
    supply = Supply(slots=free, limits={})
    found = allocate(one, candidates, stands, sizing_rps, supply, money)
    total = sum(found.mix.values())
    assert total <= one.max_replicas
    at_all = replace(one, min_replicas=0, minimum_non_spot_replicas=0)
    assert allowed(found.mix, candidates, at_all, supply, money)
    everything = [
        mix
        for mix in mixes(candidates, one.max_replicas)
        if allowed(mix, candidates, one, supply, money)
        and served_rps(mix, candidates) >= sizing_rps - 1e-9
    ]
    if everything:
        assert allowed(found.mix, candidates, one, supply, money)
        assert served_rps(found.mix, candidates) >= sizing_rps - 1e-9
        if money is None:
            cheapest = min(marginal(mix, candidates, stands) for mix in everything)
            assert marginal(found.mix, candidates, stands) <= cheapest + 1e-9
            assert found.marginal_per_hour <= cheapest + 1e-9
    elif floor == 0:
        best = max(
            served_rps(mix, candidates)
            for mix in mixes(candidates, one.max_replicas)
            if allowed(mix, candidates, at_all, supply, money)
        )
        assert served_rps(found.mix, candidates) >= min(best, sizing_rps) - 1e-9


def candidate(at: Pool, rate_rps: float | None = 75.0, **changes: object) -> Candidate:
    price = float(at.price_per_slot_hour or 0)
    defaults = {
        "variant": FP32,
        "pool": at,
        "slots": 1,
        "rate_rps": rate_rps,
        "latency_s": None,
        "startup_s": 60.0,
        "effective_per_hour": at.price_per_slot_hour or Decimal(0),
        "keep_per_hour": price,
        "new_per_hour": price,
    }
    return Candidate(**defaults | changes)


KEPT, TAKEN_BACK, DEAR = (FP32, RESERVED), (FP32, SPOT), (FP32, ON_DEMAND)
ALL = (
    candidate(reserved(), keep_per_hour=0.0, new_per_hour=0.0),
    candidate(spot()),
    candidate(on_demand()),
)


def given_supply(**slots: int) -> Supply:
    return Supply(slots={PoolName(k.replace("_", "-")): v for k, v in slots.items()}, limits={})


def test_what_is_full_binds_and_is_named() -> None:
    supply = given_supply(reserved=2, spot=1, on_demand=0)
    assert allocate(workload(), ALL, {}, 300.0, supply, None) == Allocation(
        mix={KEPT: 2, TAKEN_BACK: 1},
        needed=4,
        unlimited_mix={KEPT: 4},
        marginal_per_hour=0.284,
        binding=ReasonCode.CAPACITY,
        limited_by="on-demand, reserved, spot",
    )


def test_money_binds_where_it_alone_would_help() -> None:
    found = allocate(workload(), ALL[1:], {}, 300.0, given_supply(), limit("0.60"))
    assert (found.mix, found.binding, found.limited_by) == (
        {TAKEN_BACK: 2},
        ReasonCode.SERVICE_BUDGET,
        "spec.budget",
    )


def test_capacity_binds_where_money_would_not_help() -> None:
    supply = given_supply(spot=2, on_demand=0)
    found = allocate(workload(), ALL[1:], {}, 300.0, supply, limit("5.00"))
    assert (found.mix, found.binding) == ({TAKEN_BACK: 2}, ReasonCode.CAPACITY)


def test_what_binds_without_a_limit_is_said_too() -> None:
    for rate_rps, binding in (
        (20.0, ReasonCode.MIN_REPLICAS),
        (200.0, ReasonCode.DEMAND),
        (9999.0, ReasonCode.MAX_REPLICAS),
    ):
        assert allocate(workload(), ALL, {}, rate_rps, given_supply(), None).binding is binding
    nothing = allocate(workload(), (), {}, 20.0, given_supply(), None)
    assert (nothing.mix, nothing.binding) == ({}, ReasonCode.NO_POOL)


def test_where_nothing_new_is_placed_no_more_stays_than_stands() -> None:
    limited = (candidate(spot(), most=2), candidate(on_demand()))
    found = allocate(workload(), limited, {TAKEN_BACK: 2}, 300.0, given_supply(), None)
    assert found.mix == {TAKEN_BACK: 2, DEAR: 2}


def test_a_replica_that_runs_wins_over_an_equal_one_that_does_not() -> None:
    twins = (candidate(spot(price="0.70")), candidate(on_demand()))
    found = allocate(workload(), twins, {TAKEN_BACK: 1}, 20.0, given_supply(), None)
    assert found.mix == {TAKEN_BACK: 1}


def test_money_takes_the_dearest_first() -> None:
    prices = {c.key: c.effective_per_hour for c in ALL}
    mix = {KEPT: 1, TAKEN_BACK: 2, DEAR: 1}  # 0.45 + 0.568 + 0.70 = 1.718
    assert total_per_hour(mix, prices) == Decimal("1.718")
    assert cut_to_money(mix, prices, None) == mix
    assert cut_to_money(mix, prices, limit("1.718")) == mix
    assert cut_to_money(mix, prices, limit("1.10")) == {KEPT: 1, TAKEN_BACK: 2}
    assert cut_to_money(mix, prices, limit("0.30")) == {TAKEN_BACK: 1}
    assert cut_to_money(mix, prices, limit("0")) == {}


def test_slots_under_notice_are_not_free() -> None:
    pools = (reserved(), spot(maximum_slots=4), on_demand(maximum_slots=None))
    limits = {"team": Decimal(3)}
    supply = initial_supply(pools, {SPOT: 1, RESERVED: 5}, limits)
    assert supply == Supply(slots={RESERVED: 0, SPOT: 3}, limits=limits)
    left = supply.minus(
        {TAKEN_BACK: 1, DEAR: 2}, {TAKEN_BACK: 2}, Decimal("1.00"), frozenset({"team"})
    )
    assert left == Supply(slots={RESERVED: 0, SPOT: 1}, limits={"team": Decimal(2)})
    assert left.minus({}, {}, Decimal(1), frozenset({"other"})) == left
