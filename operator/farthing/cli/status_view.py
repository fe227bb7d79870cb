"""Services and budgets as `farthing status` shows them. Pure: documents in, text out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from farthing.cli import attention, money, tables, wording
from farthing.cli.attention import Attention
from farthing.kube import documents
from farthing.kube.documents import Json

_RIGHT_ALIGNED = ("QUEUE", "REPLICAS")


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """What one look at a cluster found. `budgets` None means that they may not be read, `why_no_budgets` why."""

    cluster: str
    services: tuple[Json, ...]
    budgets: tuple[Json, ...] | None
    why_no_budgets: str = ""

    @property
    def is_blind(self) -> bool:
        """There are services, and no metrics of any of them."""
        return bool(self.services) and not any(
            documents.condition(one, "MetricsAvailable").get("status") == "True"
            for one in self.services
        )

    def cost_per_hour(self) -> tuple[Decimal, int]:
        """The sum of what is known, and how many services it leaves out."""
        known = [money.number(_status(one, "costPerHour")) for one in self.services]
        return sum((one for one in known if one is not None), Decimal(0)), known.count(None)

    def attention(self, program: str) -> tuple[Attention, ...]:
        return tuple(
            found for one in self.services for found in attention.of_service(one, program)
        ) + tuple(found for one in self.budgets or () for found in attention.of_budget(one))


def text(seen: Overview, now: datetime, currency: str, program: str, *, wide: bool) -> str:
    """Summary, table, and a line for each thing that needs somebody."""
    lines = [*_summary(seen, currency), *_table(seen.services, currency, wide=wide)]
    lines += [tables.doubtful(one.line(now)) for one in seen.attention(program)]
    return "\n".join(lines)


def document(seen: Overview, currency: str, program: str) -> Json:
    """The same for programs: the objects themselves and what was made of them."""
    known, left_out = seen.cost_per_hour()
    return {
        "cluster": seen.cluster,
        "currency": currency,
        "costPerHour": money.plain(known),
        "servicesWithoutCost": left_out,
        "blind": seen.is_blind,
        "attention": [one.document() for one in seen.attention(program)],
        "services": list(seen.services),
        "clusterBudgets": None if seen.budgets is None else list(seen.budgets),
    }


def _summary(seen: Overview, currency: str) -> list[str]:
    count = len(seen.services)
    known, left_out = seen.cost_per_hour()
    coverage = f" ({count - left_out} of {count} known)" if left_out else ""
    cost = wording.UNKNOWN if left_out and left_out == count else money.exact(known)
    noun = "service" if count == 1 else "services"
    lines = [tables.heading(f"{seen.cluster}  {count} {noun}  {currency} {cost}/h{coverage}")]
    if seen.budgets is None:
        lines.append(f"cluster budgets  {wording.UNKNOWN}: {seen.why_no_budgets}")
    return lines + [_budget_line(one, currency) for one in seen.budgets or ()]


def _budget_line(budget: Json, currency: str) -> str:
    spec, spend = documents.part(budget, "spec"), documents.part(budget, "status", "spend")
    amount, spent = money.number(spec.get("amount")), money.number(spend.get("amount"))
    return (
        f"budget {documents.key(budget)}  {currency} {money.to_the_cent(spent)} of "
        f"{money.exact(amount)} per {spec.get('period')} ({wording.percent(spent, amount)})  "
        f"forecast {money.to_the_cent(money.number(spend.get('forecast')))}"
    )


def _table(services: Iterable[Json], currency: str, *, wide: bool) -> list[str]:
    found = list(services)
    percentiles = {documents.part(one, "spec", "slo").get("percentile", 99) for one in found}
    latency = f"P{percentiles.pop()}" if len(percentiles) == 1 else "LATENCY"
    money_columns = (f"{currency}/H", f"{currency}/1K", f"SPEND {currency}")
    heading = ["NAMESPACE", "NAME", "READY", f"{latency}/SLO MS", "QUEUE", "REPLICAS", "POOLS"]
    heading += [*money_columns]
    if wide:
        heading += ["REASON", "MODEL", "DECISION"]
    rows = [_row(one, wide=wide) for one in found]
    right = (*_RIGHT_ALIGNED, f"{latency}/SLO MS", *money_columns)
    return tables.columns(heading, rows, right=right) if rows else []


def _row(service: Json, *, wide: bool) -> list[str]:
    metadata, spec = documents.part(service, "metadata"), documents.part(service, "spec")
    row = [
        str(metadata.get("namespace", "")),
        str(metadata.get("name", "")),
        _ready(service),
        f"{wording.word(_status(service, 'latencyMilliseconds'))}/"
        f"{wording.word(documents.part(spec, 'slo').get('latencyMilliseconds'))}",
        wording.word(_status(service, "queueLength")),
        _replicas(service),
        wording.word(_status(service, "pools")),
        money.exact(money.number(_status(service, "costPerHour"))),
        money.exact(money.number(_status(service, "costPerThousandRequests"))),
        _spend(service, wide=wide),
    ]
    if wide:
        row += [
            wording.word(documents.condition(service, "Ready").get("reason")),
            wording.word(documents.part(spec, "model").get("uri")),
            wording.word(documents.part(service, "status", "decision").get("id")),
        ]
    return row


def _status(service: Json, field: str) -> object:
    return documents.part(service, "status").get(field)


def _ready(service: Json) -> str:
    state = str(documents.condition(service, "Ready").get("status") or "Unknown")
    return {"True": tables.good, "False": tables.bad}.get(state, tables.doubtful)(state)


def _replicas(service: Json) -> str:
    """Ready over wanted."""
    wanted = _status(service, "replicas")
    if wanted is None:
        return wording.UNKNOWN
    placements = documents.items(service, "status", "placements")
    return f"{sum(int(one.get('ready') or 0) for one in placements)}/{wanted}"


def _spend(service: Json, *, wide: bool) -> str:
    budget = documents.part(service, "spec", "budget")
    spent = money.number(documents.part(service, "status", "spend").get("amount"))
    shown = money.exact(spent) if wide else money.to_the_cent(spent)
    return f"{shown}/{money.exact(money.number(budget.get('amount')))} {budget.get('period')}"
