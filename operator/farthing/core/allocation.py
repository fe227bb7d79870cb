"""The cheapest mix of one workload within what capacity and money are left.

A plain Service gives each replica the same share of requests, so every replica of a mix must hold the SLO at that
share: a mix that includes places of rate r or better needs demand / r replicas, whatever else is in it. All such
thresholds are tried; for each, the cheapest replicas at the margin are taken one by one. For one workload this is
exact (prices rise along each place, and replicas of a threshold are interchangeable); `tests/core` compares it
with enumeration. Where money binds, what is served is still exact, and its cost that of the better of two ways to
fill: by marginal price, and by what each replica takes from the budget. Workloads are served one after the other
by priority, so money and capacity reach the higher first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from math import ceil

from farthing.core.candidates import Candidate, Key, Mix
from farthing.core.domain import Pool, PoolName, ReasonCode, Workload


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """Money that may be spent per hour, and whose limit it is."""

    name: str
    reason: ReasonCode
    per_hour: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Supply:
    """What is left for the next workload: free slots by pool (absent: without limit) and cluster limits by name."""

    slots: dict[PoolName, int]
    limits: dict[str, Decimal]

    def minus(
        self, mix: Mix, slots: dict[Key, int], cost: Decimal, payers: frozenset[str]
    ) -> Supply:
        """What remains after a workload took `mix`; `slots` are those of one replica."""
        left = dict(self.slots)
        for key, count in mix.items():
            if key[1] in left:
                left[key[1]] -= count * slots.get(key, 1)
        limits = {name: v - cost if name in payers else v for name, v in self.limits.items()}
        return replace(self, slots=left, limits=limits)


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocation:
    """A mix, what it would have been without limits of money and capacity, and what stood in the way."""

    mix: Mix
    needed: int
    unlimited_mix: Mix
    marginal_per_hour: float
    binding: ReasonCode
    limited_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """Limits that one workload's filling must respect."""

    slots: dict[PoolName, int]
    money: Limit | None


def allocate(
    workload: Workload,
    candidates: tuple[Candidate, ...],
    running: Mix,
    sizing_rps: float,
    supply: Supply,
    money: Limit | None,
) -> Allocation:
    """The cheapest feasible mix for `sizing_rps` requests per second; best effort where none is feasible.

    Places where the workload was never measured come in only when the known ones have no room: a cheap pool that turns
    out to be slow would slow every request of the service.
    """
    known = tuple(c for c in candidates if not c.assumed)
    if known and len(known) < len(candidates):
        found = _allocate(workload, known, running, sizing_rps, supply, money)
        if found.binding is not ReasonCode.CAPACITY:
            return found
    return _allocate(workload, candidates, running, sizing_rps, supply, money)


def _allocate(
    workload: Workload,
    candidates: tuple[Candidate, ...],
    running: Mix,
    sizing_rps: float,
    supply: Supply,
    money: Limit | None,
) -> Allocation:
    limited = _best(
        workload, candidates, running, sizing_rps, Room(slots=supply.slots, money=money)
    )
    free = _best(workload, candidates, running, sizing_rps, Room(slots={}, money=None))
    needed = sum(free.mix.values())
    # Fewer but faster replicas are no shortfall: what counts is the rate that is served, and the promised minimum.
    enough = sum(limited.mix.values()) >= min(workload.min_replicas, needed)
    if enough and limited.unserved_rps <= free.unserved_rps + 1e-9:
        binding, limited_by = _slack_reason(workload, free, sizing_rps), ""
    else:
        binding, limited_by = _tight_reason(
            workload, candidates, running, sizing_rps, supply, money, limited
        )
    return Allocation(
        mix=limited.mix,
        needed=needed,
        unlimited_mix=free.mix,
        marginal_per_hour=limited.cost,
        binding=binding,
        limited_by=limited_by,
    )


def cut_to_money(mix: Mix, prices: dict[Key, Decimal], money: Limit | None) -> Mix:
    """Takes the dearest replicas out of `mix` until it costs no more than the limit."""
    if money is None:
        return mix
    kept = dict(mix)
    while total_per_hour(kept, prices) > money.per_hour and any(kept.values()):
        dearest = max(
            (key for key, count in kept.items() if count),
            key=lambda key: (prices.get(key, Decimal(0)), key),
        )
        kept[dearest] -= 1
    return {key: count for key, count in kept.items() if count}


def total_per_hour(mix: Mix, prices: dict[Key, Decimal]) -> Decimal:
    """Effective cost of a mix per hour."""
    return sum((prices.get(key, Decimal(0)) * count for key, count in mix.items()), Decimal(0))


def initial_supply(
    pools: tuple[Pool, ...], occupied: dict[PoolName, int], limits: dict[str, Decimal]
) -> Supply:
    """Free slots of each limited pool; `occupied` are slots that replicas under notice still hold."""
    free = {
        pool.name: max(0, pool.slot_limit - occupied.get(pool.name, 0))
        for pool in pools
        if pool.slot_limit is not None
    }
    return Supply(slots=free, limits=limits)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Filled:
    mix: Mix
    cost: float
    unserved_rps: float
    missing_non_spot: int
    missing: int
    """Replicas below the minimum."""

    def rank(self) -> tuple[int, float, int, float, int, tuple[tuple[Key, int], ...]]:
        return (
            self.missing_non_spot,
            round(self.unserved_rps, 9),
            self.missing,
            round(self.cost, 9),
            sum(self.mix.values()),
            tuple(sorted(self.mix.items())),
        )


def _best(
    workload: Workload,
    candidates: tuple[Candidate, ...],
    running: Mix,
    sizing_rps: float,
    room: Room,
) -> _Filled:
    thresholds = sorted({c.rate_rps for c in candidates if c.rate_rps}, reverse=True)
    filled = [_fill_at(workload, candidates, running, sizing_rps, room, r) for r in thresholds]
    nothing = _Filled(
        mix={},
        cost=0.0,
        unserved_rps=sizing_rps,
        missing_non_spot=workload.minimum_non_spot_replicas,
        missing=workload.min_replicas,
    )
    return min(filled, key=_Filled.rank, default=nothing)


def _fill_at(
    workload: Workload,
    candidates: tuple[Candidate, ...],
    running: Mix,
    sizing_rps: float,
    room: Room,
    threshold_rps: float,
) -> _Filled:
    eligible = [c for c in candidates if c.rate_rps is not None and c.rate_rps >= threshold_rps]
    count = min(
        workload.max_replicas, max(workload.min_replicas, ceil(sizing_rps / threshold_rps - 1e-9))
    )
    by_margin = _fill(
        workload,
        eligible,
        running,
        count,
        room,
        lambda c, new: c.new_per_hour if new else c.keep_per_hour,
    )
    best = _filled(workload, by_margin, eligible, running, sizing_rps, threshold_rps, count)
    if room.money is not None and (best.missing_non_spot or sum(by_margin.values()) < count):
        # Money binds: what each replica takes from the budget now matters more than what is sunk already.
        by_price = _fill(
            workload, eligible, running, count, room, lambda c, _: float(c.effective_per_hour)
        )
        best = min(
            best,
            _filled(workload, by_price, eligible, running, sizing_rps, threshold_rps, count),
            key=_Filled.rank,
        )
    return best


def _filled(
    workload: Workload,
    mix: Mix,
    eligible: list[Candidate],
    running: Mix,
    sizing_rps: float,
    threshold_rps: float,
    count: int,
) -> _Filled:
    by_key = {c.key: c for c in eligible}
    cost = 0.0
    for key, here in mix.items():
        kept = min(here, running.get(key, 0))
        cost += kept * by_key[key].keep_per_hour + (here - kept) * by_key[key].new_per_hour
    floor = min(count, workload.minimum_non_spot_replicas)
    non_spot = sum(n for key, n in mix.items() if not by_key[key].is_spot)
    slowest = min((by_key[key].rate_rps or 0.0 for key in mix), default=threshold_rps)
    return _Filled(
        mix=mix,
        cost=cost,
        unserved_rps=max(0.0, sizing_rps - sum(mix.values()) * slowest),
        missing_non_spot=max(0, floor - non_spot),
        missing=max(0, workload.min_replicas - sum(mix.values())),
    )


def _fill(
    workload: Workload,
    eligible: list[Candidate],
    running: Mix,
    count: int,
    room: Room,
    price: Callable[[Candidate, bool], float],
) -> Mix:
    mix: Mix = {}
    spent = Decimal(0)
    used: dict[PoolName, int] = {}
    for number in range(count):
        choices = [
            c
            for c in eligible
            if (c.most is None or mix.get(c.key, 0) < c.most) and _fits(c, used, spent, room)
        ]
        if number < workload.minimum_non_spot_replicas:
            # The floor is filled first, so that nothing else takes its money.
            choices = [c for c in choices if not c.is_spot] or choices
        if not choices:
            break
        best = min(
            choices,
            key=lambda c: (
                round(price(c, mix.get(c.key, 0) >= running.get(c.key, 0)), 12),
                mix.get(c.key, 0) >= running.get(c.key, 0),
                -(c.rate_rps or 0.0),
                c.key,
            ),
        )
        mix[best.key] = mix.get(best.key, 0) + 1
        used[best.pool.name] = used.get(best.pool.name, 0) + best.slots
        spent += best.effective_per_hour
    return mix


def _fits(candidate: Candidate, used: dict[PoolName, int], spent: Decimal, room: Room) -> bool:
    free = room.slots.get(candidate.pool.name)
    if free is not None and used.get(candidate.pool.name, 0) + candidate.slots > free:
        return False
    return room.money is None or spent + candidate.effective_per_hour <= room.money.per_hour


def _slack_reason(workload: Workload, free: _Filled, sizing_rps: float) -> ReasonCode:
    total = sum(free.mix.values())
    if not free.mix:
        return ReasonCode.NO_POOL
    if free.unserved_rps > 1e-9 and total >= workload.max_replicas:
        return ReasonCode.MAX_REPLICAS
    if total <= workload.min_replicas:
        return ReasonCode.MIN_REPLICAS
    return ReasonCode.DEMAND


def _tight_reason(
    workload: Workload,
    candidates: tuple[Candidate, ...],
    running: Mix,
    sizing_rps: float,
    supply: Supply,
    money: Limit | None,
    limited: _Filled,
) -> tuple[ReasonCode, str]:
    """Money where lifting it alone would help, else capacity."""
    if money is not None:
        unpaid = _best(
            workload, candidates, running, sizing_rps, Room(slots=supply.slots, money=None)
        )
        if (
            sum(unpaid.mix.values()) > sum(limited.mix.values())
            or unpaid.unserved_rps < limited.unserved_rps - 1e-9
        ):
            return money.reason, money.name
    used: dict[PoolName, int] = {}
    for candidate in candidates:
        taken = limited.mix.get(candidate.key, 0) * candidate.slots
        used[candidate.pool.name] = used.get(candidate.pool.name, 0) + taken
    full = sorted(
        {
            c.pool.name
            for c in candidates
            if c.pool.name in supply.slots
            and supply.slots[c.pool.name] - used[c.pool.name] < c.slots
        }
    )
    return ReasonCode.CAPACITY, ", ".join(full)
