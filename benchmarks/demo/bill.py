"""What the replicas cost, from their own lifetimes and the pools' prices. Pure, and independent of
the operator, so that it checks the operator's spend.

Money is kept as price × microseconds, which never rounds. What is shown is rounded to millionths in
such a way that the lines still add up to their total exactly.

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
_MILLION = 1_000_000


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
class Bill:
    since: datetime
    until: datetime
    lines: tuple[Line, ...]
    replica_hours: Decimal
    paid: Decimal
    at_on_demand_prices: Decimal
    unused: tuple[Unused, ...]

    @property
    def saving(self) -> Decimal:
        """Against the same replica-hours at on-demand prices; negative where those are cheaper."""
        return self.at_on_demand_prices - self.paid

    def paid_by(self, service: str) -> Decimal:
        return sum((line.paid for line in self.lines if line.service == service), Decimal(0))


class UnpricedError(errors.DemoError):
    """A replica ran in a pool whose price, or whose on-demand price, nobody gave."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem, next_step="Add it to manifests/overlays/local/pools.yaml.")


def bill(
    lifetimes: Iterable[Lifetime], prices: Iterable[Price], *, since: datetime, until: datetime
) -> Bill:
    """The bill of everything that ran between two instants. Raises UnpricedError."""
    known = {price.pool: price for price in prices}
    lived = tuple(lifetimes)
    hours: dict[tuple[str, str], int] = {}
    paid: dict[tuple[str, str], Decimal] = {}
    on_demand: dict[tuple[str, str], Decimal] = {}
    used: dict[str, int] = {}
    for life in lived:
        price = _price(known, life)
        key, micros = (life.service, price.capacity_type), life.microseconds(since, until)
        hours[key] = hours.get(key, 0) + micros
        paid[key] = paid.get(key, Decimal(0)) + price.per_slot_hour * micros
        per_hour = on_demand_price(price, known.values())
        on_demand[key] = on_demand.get(key, Decimal(0)) + per_hour * micros
        used[life.pool] = used.get(life.pool, 0) + micros
    keys = sorted(key for key, micros in hours.items() if micros)
    columns = [
        _in_hours([Decimal(hours[key]) for key in keys]),
        _in_hours([paid[key] for key in keys]),
        _in_hours([on_demand[key] for key in keys]),
    ]
    lines = tuple(
        Line(
            service=service,
            capacity_type=capacity_type,
            replica_hours=columns[0][at],
            paid=columns[1][at],
            at_on_demand_prices=columns[2][at],
        )
        for at, (service, capacity_type) in enumerate(keys)
    )
    return Bill(
        since=since,
        until=until,
        lines=lines,
        # Not the sums of the lines but figures of their own, so that adding up can be checked.
        replica_hours=_rounded(sum(life.microseconds(since, until) for life in lived)),
        paid=_rounded(money_microseconds(lived, known.values(), since=since, until=until)),
        at_on_demand_prices=_rounded(sum(on_demand.values(), Decimal(0))),
        unused=_unused(known.values(), used, (until - since) // _MICROSECOND),
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


def disagreements(bill: Bill) -> tuple[str, ...]:
    """Where the lines do not add up to the totals; empty in a bill that can be trusted."""
    columns = (
        ("replica-hours", [line.replica_hours for line in bill.lines], bill.replica_hours),
        ("paid", [line.paid for line in bill.lines], bill.paid),
        (
            "at on-demand prices",
            [line.at_on_demand_prices for line in bill.lines],
            bill.at_on_demand_prices,
        ),
    )
    return tuple(
        f"{name}: the lines sum to {sum(parts, Decimal(0))}, the total is {total}"
        for name, parts, total in columns
        if sum(parts, Decimal(0)) != total
    )


def add_up(exact: Sequence[Decimal], unit: Decimal) -> tuple[int, ...]:
    """Whole units for each value, that sum to the rounded sum: the largest remainders round up.

    1.4, 1.4 and 1.4 units sum to 4.2, so to 4: one of them is shown as 2.
    """
    floors = [int(value // unit) for value in exact]
    total = int((sum(exact, Decimal(0)) / unit).to_integral_value())
    order = sorted(range(len(exact)), key=lambda at: (-(exact[at] % unit), at))
    for at in order[: total - sum(floors)]:
        floors[at] += 1
    return tuple(floors)


_UNIT = Decimal(MICROSECONDS_PER_HOUR) / _MILLION


def _in_hours(exact: Sequence[Decimal]) -> tuple[Decimal, ...]:
    """Values per microsecond-hour as millionths of an hour (or of the currency) that add up."""
    return tuple(Decimal(units) / _MILLION for units in add_up(exact, _UNIT))


def _rounded(exact: Decimal | int) -> Decimal:
    return _in_hours([Decimal(exact)])[0]


def _price(known: Mapping[str, Price], life: Lifetime) -> Price:
    price = known.get(life.pool)
    if price is None:
        raise UnpricedError(f"The pool {life.pool} of a replica of {life.service} has no price.")
    return price


def _unused(
    prices: Iterable[Price], used: Mapping[str, int], elapsed_microseconds: int
) -> tuple[Unused, ...]:
    found = []
    for price in prices:
        idle = price.committed_slots * elapsed_microseconds - used.get(price.pool, 0)
        if price.committed_slots and idle > 0:
            found.append(
                Unused(
                    pool=price.pool,
                    slot_hours=_rounded(idle),
                    worth=_rounded(price.per_slot_hour * idle),
                )
            )
    return tuple(found)
