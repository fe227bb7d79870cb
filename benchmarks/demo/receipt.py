"""The end of the demo as text: the bill, what the clients saw, and whether the figures agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from benchmarks.demo import bill
from benchmarks.demo.attainment import Attainment

# The operator and this bill learn of a replica's end up to a second apart.
SPEND_TOLERANCE_FRACTION = Decimal("0.02")


@dataclass(frozen=True, slots=True, kw_only=True)
class SpendCheck:
    """The operator's spend of a service beside this bill's, charged up to the same instant."""

    service: str
    operator: Decimal | None
    own: Decimal

    @property
    def difference_fraction(self) -> Decimal | None:
        """Of this bill's amount; none where the operator said nothing or nothing was spent."""
        if self.operator is None or not self.own:
            return None
        return abs(self.operator - self.own) / self.own

    @property
    def agrees(self) -> bool:
        difference = self.difference_fraction
        return difference is not None and difference <= SPEND_TOLERANCE_FRACTION


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    bill: bill.Bill
    clients: Mapping[str, Attainment]
    slo_ms: Mapping[str, int]
    spend_checks: tuple[SpendCheck, ...]

    def problems(self) -> tuple[str, ...]:
        """Where figures contradict one another; empty when the bill can be trusted."""
        return (*bill.disagreements(self.bill), *map(_spend_problem, self._unequal()))

    def _unequal(self) -> tuple[SpendCheck, ...]:
        return tuple(one for one in self.spend_checks if not one.agrees)


def text(receipt: Receipt) -> str:
    """Everything, as aligned lines."""
    parts = (_bill(receipt.bill), _clients(receipt), _checks(receipt))
    return "\n\n".join("\n".join(lines) for lines in parts)


def _bill(shown: bill.Bill) -> list[str]:
    rows = [("SERVICE", "CAPACITY", "REPLICA-HOURS", "PAID $", "AT ON-DEMAND PRICES $")]
    rows += [
        (
            line.service,
            line.capacity_type,
            f"{line.replica_hours:.6f}",
            f"{line.paid:.6f}",
            f"{line.at_on_demand_prices:.6f}",
        )
        for line in shown.lines
    ]
    rows.append(
        (
            "total",
            "",
            f"{shown.total.replica_hours:.6f}",
            f"{shown.total.paid:.6f}",
            f"{shown.total.at_on_demand_prices:.6f}",
        )
    )
    lines = [f"The bill, {_clock(shown.since)} to {_clock(shown.until)} UTC"]
    lines += aligned(rows, left=2)
    lines.append(
        f"The same replica-hours at on-demand prices: ${shown.total.at_on_demand_prices:.6f}."
    )
    lines.append(f"Saved against those: {_saving(shown)}.")
    lines += [
        f"Beside the bill: {one.slot_hours:.6f} slot-hours of {one.pool} were committed and not"
        f" used, worth ${one.worth:.6f}."
        for one in shown.unused
    ]
    return lines


def _saving(shown: bill.Bill) -> str:
    amount = f"-${-shown.saving:.6f}" if shown.saving < 0 else f"${shown.saving:.6f}"
    if not shown.total.at_on_demand_prices:
        return amount
    return f"{amount} ({shown.saving / shown.total.at_on_demand_prices:.1%})"


def _clients(receipt: Receipt) -> list[str]:
    rows = [
        (
            *("SERVICE", "SENT", "ANSWERED", "REFUSED", "LOST", "WITHIN SLO"),
            *("P50 MS", "P99 MS", "SLO MS", "$ PER 1000 ANSWERED"),
        )
    ]
    for service, seen in sorted(receipt.clients.items()):
        rows.append(
            (
                *(service, str(seen.sent), str(seen.answered), str(seen.refused), str(seen.lost)),
                _known(seen.within_slo_fraction, "{:.2%}"),
                _known(seen.p50_ms, "{:.0f}"),
                _known(seen.p99_ms, "{:.0f}"),
                str(receipt.slo_ms[service]),
                per_thousand(receipt.bill.paid_by(service), seen.answered),
            )
        )
    heading = "What the clients saw (a time counts from when a request was due; refused and lost are late)"
    return [heading, *aligned(rows, left=1)]


def per_thousand(paid: Decimal, answered: int) -> str:
    return f"{paid * 1000 / answered:.6f}" if answered else "unknown"


def _checks(receipt: Receipt) -> list[str]:
    lines = ["Checks"]
    wrong = bill.disagreements(receipt.bill)
    lines += [f"  NOT OK  {one}" for one in wrong] or [
        "  ok  the lines add up to the total, and that is what the lifetimes of all pods come to"
    ]
    for one in receipt.spend_checks:
        if one.agrees:
            lines.append(
                f"  ok  status.spend of {one.service} is ${one.operator:.6f}, the pods' lifetimes up"
                f" to then give ${one.own:.6f} ({one.difference_fraction:.2%} apart)"
            )
        else:
            lines.append(f"  NOT OK  {_spend_problem(one)}")
    return lines


def _spend_problem(check: SpendCheck) -> str:
    said = "unknown" if check.operator is None else f"${check.operator:.6f}"
    return (
        f"status.spend of {check.service} is {said}, the pods' lifetimes up to then give"
        f" ${check.own:.6f}, more than {SPEND_TOLERANCE_FRACTION:.0%} apart"
    )


def aligned(rows: Sequence[Sequence[str]], *, left: int) -> list[str]:
    """Columns two spaces apart: the first `left` of them flush left, the others flush right."""
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    return [
        "  "
        + "  ".join(
            f"{cell:<{width}}" if at < left else f"{cell:>{width}}"
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _known(value: float | None, form: str) -> str:
    return "unknown" if value is None else form.format(value)


def _clock(at: datetime) -> str:
    return at.strftime("%H:%M:%S")
