"""Small pieces of text: ages, shares, and the word unknown where there is no figure."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

from farthing.cli import money

UNKNOWN = money.UNKNOWN


def word(value: object) -> str:
    """A figure or a word as it is; unknown where there is none."""
    return UNKNOWN if value is None or value == "" else printable(str(value))


def printable(text: str) -> str:
    """The text on one line without what could steer a terminal: statuses may hold what others wrote."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def percent(amount: Decimal | None, of: Decimal | None) -> str:
    """A share in whole percent; unknown where one of the two is."""
    if amount is None or not of:
        return UNKNOWN
    return f"{round(amount / of * 100)}%"


def age(since: datetime | None, now: datetime) -> str:
    """How long ago, in the largest unit that fits: 40s, 22m, 5h, 3d."""
    if since is None:
        return UNKNOWN
    seconds = max(0, int((now - since) / timedelta(seconds=1)))
    for unit, length in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds >= length:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"
