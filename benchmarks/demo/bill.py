"""What the replicas cost, from their own lifetimes and the pools' prices. Pure, and independent of
the operator, so that it checks the operator's spend.

Money is kept as price × microseconds, which never rounds. Lines are rounded to millionths, and the
totals are the sums of the lines; beside them stand the exact totals, counted without the lines.

Worked number: one replica for 90 s at 0.284 an hour is 0.025 replica-hours and costs 0.0071.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from benchmarks.demo import errors

MICROSECONDS_PER_HOUR = 3_600_000_000
_MICROSECOND = timedelta(microseconds=1)
SHOWN = Decimal("0.000001")


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What a CapacityPool sells a slot-hour for, and what hardware that is."""

    pool: str
    capacity_type: str
    hardware: str
    per_slot_hour: Decimal
    committed_slots: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetime:
    """One replica: from the instant it got its node until it was gone; no end while it is there."""

    service: str
    pool: str
    start: datetime
    end: datetime | None

    def microseconds(self, since: datetime, until: datetime) -> int:
        """The part between two instants."""
        end = until if self.end is None else min(self.end, until)
        return max(0, (end - max(self.start, since)) // _MICROSECOND)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One service on one capacity type."""

    service: str
    capacity_type: str
    replica_hours: Decimal
    paid: Decimal
    at_on_demand_prices: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Unused:
    """Committed capacity that no replica used; it is paid all the same."""

    pool: str
    slot_hours: Decimal
    worth: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    replica_hours: Decimal
    paid: Decimal
    at_on_demand_prices: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    since: datetime
    until: datetime
    lines: tuple[Line, ...]
    exact: Totals
    unused: tuple[Unused, ...]

    @property
    def total(self) -> Totals:
        """The sums of the lines."""
        return Totals(
            replica_hours=_sum(line.replica_hours for line in self.lines),
            paid=_sum(line.paid for line in self.lines),
            at_on_demand_prices=_sum(line.at_on_demand_prices for line in self.lines),
        )

    @property
    def saving(self) -> Decimal:
        """Against the same replica-hours at on-demand prices; negative where those are cheaper."""
        return self.total.at_on_demand_prices - self.total.paid

    def paid_by(self, service: str) -> Decimal:
        return _sum(line.paid for line in self.lines if line.service == service)


class UnpricedError(errors.DemoError):
    """A replica ran in a pool whose price, or whose on-demand price, nobody gave."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem, next_step="Add it to manifests/overlays/local/pools.yaml.")


def bill(
    lifetimes: Iterable[Lifetime], prices: Iterable[Price], *, since: datetime, until: datetime
) -> Bill:
    """The bill of everything that ran between two instants. Raises UnpricedError."""
    lived, known = tuple(lifetimes), tuple(prices)
    by_pool = {price.pool: price for price in known}
    groups: dict[tuple[str, str], list[Lifetime]] = {}
    for life in lived:
        if life.microseconds(since, until):
            key = (life.service, _price(by_pool, life).capacity_type)
            groups.setdefault(key, []).append(life)
    lines = []
    for (service, capacity_type), lives in sorted(groups.items()):
        exact = _totals(lives, known, since, until)
        lines.append(
            Line(
                service=service,
                capacity_type=capacity_type,
                replica_hours=_rounded(exact.replica_hours),
                paid=_rounded(exact.paid),
                at_on_demand_prices=_rounded(exact.at_on_demand_prices),
            )
        )
    return Bill(
        since=since,
        until=until,
        lines=tuple(lines),
        exact=_totals(lived, known, since, until),
        unused=_unused(lived, known, since, until),
    )


def money_microseconds(
    lifetimes: Iterable[Lifetime], prices: Iterable[Price], *, since: datetime, until: datetime
) -> Decimal:
    """Exact money between two instants, as price × microseconds."""
    known = {price.pool: price for price in prices}
    return sum(
        (_price(known, life).per_slot_hour * life.microseconds(since, until) for life in lifetimes),
        Decimal(0),
    )


def on_demand_price(price: Price, prices: Iterable[Price]) -> Decimal:
    """The cheapest on-demand price of the same hardware. Raises UnpricedError."""
    offers = [
        other.per_slot_hour
        for other in prices
        if other.capacity_type == "OnDemand" and other.hardware == price.hardware
    ]
    if not offers:
        raise UnpricedError(
            f"No OnDemand pool sells {price.hardware}, the hardware of {price.pool}."
        )
    return min(offers)


def disagreements(made: Bill) -> tuple[str, ...]:
    """Where the lines sum to something else than what was counted without them, by more than
    rounding each of them explains; empty in a bill that can be trusted."""
    columns = (
        ("replica-hours", made.total.replica_hours, made.exact.replica_hours),
        ("paid", made.total.paid, made.exact.paid),
        ("at on-demand prices", made.total.at_on_demand_prices, made.exact.at_on_demand_prices),
    )
    return tuple(
        f"{name}: the lines sum to {total:.6f}, counted without them it is {exact:.6f}"
        for name, total, exact in columns
        if abs(total - exact) > len(made.lines) * SHOWN / 2
    )


def _totals(
    lives: Sequence[Lifetime], prices: Sequence[Price], since: datetime, until: datetime
) -> Totals:
    by_pool = {price.pool: price for price in prices}
    on_demand = [
        on_demand_price(_price(by_pool, life), prices) * life.microseconds(since, until)
        for life in lives
    ]
    paid = money_microseconds(lives, prices, since=since, until=until)
    micros = sum(life.microseconds(since, until) for life in lives)
    return Totals(
        replica_hours=Decimal(micros) / MICROSECONDS_PER_HOUR,
        paid=paid / MICROSECONDS_PER_HOUR,
        at_on_demand_prices=_sum(on_demand) / MICROSECONDS_PER_HOUR,
    )


def _unused(
    lives: Sequence[Lifetime], prices: Sequence[Price], since: datetime, until: datetime
) -> tuple[Unused, ...]:
    found = []
    for price in prices:
        used = sum(life.microseconds(since, until) for life in lives if life.pool == price.pool)
        idle = price.committed_slots * ((until - since) // _MICROSECOND) - used
        if price.committed_slots and idle > 0:
            hours = Decimal(idle) / MICROSECONDS_PER_HOUR
            worth = _rounded(price.per_slot_hour * hours)
            found.append(Unused(pool=price.pool, slot_hours=_rounded(hours), worth=worth))
    return tuple(found)


def _price(known: Mapping[str, Price], life: Lifetime) -> Price:
    price = known.get(life.pool)
    if price is None:
        raise UnpricedError(f"The pool {life.pool} of a replica of {life.service} has no price.")
    return price


def _rounded(amount: Decimal) -> Decimal:
    return amount.quantize(SHOWN)


def _sum(amounts: Iterable[Decimal]) -> Decimal:
    return sum(amounts, Decimal(0))
