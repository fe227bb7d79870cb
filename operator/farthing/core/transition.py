"""From what runs to what is wanted without passing a limit on the way.

While replicas move, the old ones stay until the new ones are ready, so both count against `maxReplicas`, the slots of
their pools and the money. What runs already has the first claim; what is new fills the room that is left, cheapest
first. A move at `maxReplicas` goes over it by one at a time. Where no room is left for anything new, one old replica
gives way, but only if more is wanted than runs, or nothing is wanted in its place any more.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from farthing.core.allocation import Limit
from farthing.core.candidates import Key, Mix
from farthing.core.domain import PoolName


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Limits that hold at every instant; prices and slots are those of one replica."""

    max_replicas: int
    free_slots: dict[PoolName, int]
    money: Limit | None
    prices: dict[Key, Decimal]
    slots: dict[Key, int]

    def price(self, key: Key) -> Decimal:
        """Nothing where no price is known."""
        return self.prices.get(key, Decimal(0))

    def too_dear(self, mix: Mix) -> bool:
        """Whether the mix costs more than may be spent."""
        cost = sum((self.price(key) * count for key, count in mix.items()), Decimal(0))
        return self.money is not None and cost > self.money.per_hour

    def overfull(self, mix: Mix) -> PoolName | None:
        """A pool that would have to hold more slots than are free."""
        used: dict[PoolName, int] = {}
        for key, count in sorted(mix.items()):
            used[key[1]] = used.get(key[1], 0) + count * self.slots.get(key, 1)
        # Fewer than none are free where what is held already takes more than there is.
        return next((p for p, n in used.items() if n > max(0, self.free_slots.get(p, n))), None)


def fit(wanted: Mix, running: Mix, retained: Mix, due: frozenset[Key], bounds: Bounds) -> Mix:
    """The part of `retained` (wanted replicas, and old ones on top) that passes no limit now.

    `due` are places whose surplus replicas have been kept long enough.
    """
    kept = _within(
        {key: min(count, running.get(key, 0)) for key, count in retained.items()}, wanted, bounds
    )
    mix = _filled(kept, wanted, bounds)
    arrived = all(mix.get(key, 0) >= count for key, count in wanted.items())
    if arrived or sum(mix.values()) > sum(kept.values()):
        return mix
    surplus = _surplus(kept, wanted)
    leaving = [key for key in surplus if key in due and _may_give_way(key, kept, wanted)]
    if not leaving:
        return mix
    first = max(leaving, key=lambda key: (bounds.price(key), key))
    return _filled(kept | {first: kept[first] - 1}, wanted, bounds)


def _within(kept: Mix, wanted: Mix, bounds: Bounds) -> Mix:
    """Drops the dearest until no limit is passed, those that are not wanted any more first."""
    while True:
        pool = bounds.overfull(kept)
        if pool is not None:
            eligible = [key for key, count in kept.items() if count and key[1] == pool]
        elif bounds.too_dear(kept):
            eligible = [key for key, count in kept.items() if count and bounds.price(key) > 0]
        elif sum(kept.values()) > bounds.max_replicas:
            eligible = [key for key, count in kept.items() if count]
        else:
            return {key: count for key, count in kept.items() if count}
        surplus = _surplus(kept, wanted)
        last = max(eligible, key=lambda key: (key in surplus, bounds.price(key), key))
        kept = kept | {last: kept[last] - 1}


def _filled(kept: Mix, wanted: Mix, bounds: Bounds) -> Mix:
    """Adds what is wanted and not yet there, as far as the limits allow."""
    mix = {key: count for key, count in kept.items() if count}
    most = bounds.max_replicas + (1 if _surplus(kept, wanted) else 0)
    for key in sorted(wanted, key=lambda key: (bounds.price(key), key)):
        for _ in range(wanted[key] - mix.get(key, 0)):
            more = mix | {key: mix.get(key, 0) + 1}
            if sum(more.values()) > most or bounds.overfull(more) or bounds.too_dear(more):
                break
            mix = more
    return mix


def _surplus(kept: Mix, wanted: Mix) -> frozenset[Key]:
    return frozenset(key for key, count in kept.items() if count > wanted.get(key, 0))


def _may_give_way(key: Key, kept: Mix, wanted: Mix) -> bool:
    return sum(wanted.values()) > sum(kept.values()) or key not in wanted
