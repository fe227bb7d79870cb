"""Whether a status changed in a way that somebody may wait for: what keeps a quiet cluster free of writes. Pure."""

from __future__ import annotations

from decimal import Decimal

from farthing.kube import documents
from farthing.kube.documents import Json

_FIGURES_EVERY_S = 30.0
_MOVED_FRACTION = Decimal("0.05")
_VISIBLE_FRACTION = Decimal("0.01")
_FIGURES = ("costPerHour", "costPerThousandRequests", "latencyMilliseconds", "queueLength")


def is_worth_writing(before: Json, now: Json, since_last_write_s: float) -> bool:
    """Whether the status changed in a way that somebody may wait for."""
    if _shape(before) != _shape(now):
        return True
    if since_last_write_s < _FIGURES_EVERY_S:
        return False
    if any(_moved(before.get(name), now.get(name), _MOVED_FRACTION) for name in _FIGURES):
        return True
    return _spend_moved(documents.part(before, "spend"), documents.part(now, "spend"))


def _spend_moved(before: Json, now: Json) -> bool:
    """Whether the spend moved by a visible share of its budget.

    Measured against the budget and not against itself: spend grows every second, and what was spent at any later
    instant follows from the amount written, the instant up to which it is charged, and the replicas that are there.
    """
    visible = (_number(now.get("budget")) or Decimal(0)) * _VISIBLE_FRACTION
    return any(
        _distance(before.get(name), now.get(name), unknown=visible + 1) > visible
        for name in ("amount", "forecast")
    )


def _shape(status: Json) -> object:
    """What is left of a status without figures, messages and times."""
    decision, spend = documents.part(status, "decision"), documents.part(status, "spend")
    return (
        status.get("observedGeneration"),
        tuple(
            (one.get("type"), one.get("status"), one.get("reason"))
            for one in documents.items(status, "conditions")
        ),
        status.get("replicas"),
        status.get("placements"),
        status.get("pools"),
        tuple(
            (one.get("variant"), one.get("hardware"), one.get("provenance"))
            for one in documents.items(status, "profiles")
        ),
        spend.get("periodStart"),
        spend.get("budget"),
        decision.get("id"),
        documents.part(status, "shortfall").get("reason"),
        status.get("usedSlots"),
        status.get("readySlots"),
        tuple((s.get("namespace"), s.get("name")) for s in documents.items(status, "shortfalls")),
    )


def _number(text: object) -> Decimal | None:
    if not isinstance(text, str) or not text or not text[0].isdigit():
        return None
    return Decimal(text)


def _distance(before: object, now: object, *, unknown: Decimal) -> Decimal:
    """How far a figure moved; `unknown` where it came to be known or ceased to be."""
    old, new = _number(before), _number(now)
    if old is None or new is None:
        return Decimal(0) if old is new else unknown
    return abs(new - old)


def _moved(before: object, now: object, fraction: Decimal) -> bool:
    largest = max(_number(before) or Decimal(0), _number(now) or Decimal(0))
    return _distance(before, now, unknown=largest + 1) > largest * fraction
