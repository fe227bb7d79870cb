"""One decision record as text: what was taken, what lost and why, and what would reverse it. Pure.

`farthing explain` shows the record in a service's status with it, and `farthing plan` the record that would be written.
"""

from __future__ import annotations

import textwrap

from farthing.cli import money, tables, wording
from farthing.kube import documents
from farthing.kube.documents import Json

_LABEL_WIDTH = 15
_TEXT_WIDTH = 105


def text(service: Json, currency: str, *, wide: bool) -> list[str]:
    """The lines of the record. `service` has a status with a decision."""
    status = documents.part(service, "status")
    decision = documents.part(status, "decision")
    lines = [tables.heading(_title(service, decision, currency))]
    lines += _labelled("Because", wording.word(decision.get("message")))
    lines += _options(service, decision, currency, wide=wide)
    lines += _labelled("Bound by", wording.word(decision.get("bindingConstraint")))
    lines += _labelled("Budget", _budget(service, currency))
    lines += _shortfall(documents.part(status, "shortfall"), currency)
    lines += _labelled("Reverses when", wording.word(decision.get("reversesWhen")))
    return lines + _labelled("Data", _inputs(decision))


def _title(service: Json, decision: Json, currency: str) -> str:
    at = documents.instant(decision.get("at"))
    when = at.strftime("%Y-%m-%d %H:%M:%SZ") if at else wording.UNKNOWN
    return (
        f"{documents.key(service)}  {decision.get('id')}  {when}  "
        f"{wording.word(decision.get('chosen'))}  "
        f"{currency} {money.exact(money.number(decision.get('costPerHour')))}/h  "
        f"{wording.word(decision.get('reasonCode'))}"
    )


def _options(service: Json, decision: Json, currency: str, *, wide: bool) -> list[str]:
    percentile = documents.part(service, "spec", "slo").get("percentile", 99)
    latency, cost = f"P{percentile} MS", f"{currency}/H"
    heading = ["OPTION", latency, cost, *(["CODE"] if wide else []), "RESULT"]
    rows = [
        [
            wording.word(option.get("plan")),
            wording.word(option.get("latencyMilliseconds")),
            money.exact(money.number(option.get("costPerHour"))),
            *([wording.word(option.get("reason"))] if wide else []),
            _verdict(option),
        ]
        for option in documents.items(decision, "options")
    ]
    return tables.columns(heading, rows, right=(latency, cost)) if rows else []


def _verdict(option: Json) -> str:
    why = wording.word(option.get("message") or option.get("reason"))
    if option.get("verdict") == "Chosen":
        return tables.good(f"CHOSEN: {why}")
    return f"rejected: {why}"


def _budget(service: Json, currency: str) -> str:
    budget = documents.part(service, "spec", "budget")
    spend = documents.part(service, "status", "spend")
    amount, spent = money.number(budget.get("amount")), money.number(spend.get("amount"))
    forecast = money.number(spend.get("forecast"))
    return (
        f"{currency} {money.exact(spent)} spent of {money.exact(amount)} per {budget.get('period')} "
        f"({wording.percent(spent, amount)}), forecast {money.exact(forecast)} "
        f"({wording.percent(forecast, amount)})"
    )


def _shortfall(shortfall: Json, currency: str) -> list[str]:
    if not shortfall:
        return []
    missing = money.exact(money.number(shortfall.get("missingPerHour")))
    return _labelled(
        "Short", f"{currency} {missing}/h more would serve what is left ({shortfall.get('reason')})"
    )


def _inputs(decision: Json) -> str:
    found = [_input(one) for one in documents.items(decision, "inputs")]
    return "; ".join(found) or wording.UNKNOWN


def _input(entry: Json) -> str:
    if entry.get("gap"):
        return f"{entry.get('name')} missing: {wording.word(entry['gap'])}"
    seconds = entry.get("ageSeconds")
    return f"{entry.get('name')} {wording.UNKNOWN if seconds is None else f'{seconds} s'} old"


def _labelled(label: str, content: str) -> list[str]:
    """The label, then the content wrapped under itself."""
    wrapped = textwrap.wrap(content, _TEXT_WIDTH) or [""]
    labels = [label, *("" for _ in wrapped[1:])]
    return [
        f"{name.ljust(_LABEL_WIDTH)}{line}".rstrip()
        for name, line in zip(labels, wrapped, strict=True)
    ]
