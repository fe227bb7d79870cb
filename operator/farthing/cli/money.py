"""Amounts for people: exact decimals, never a float, and the currency code beside them."""

from __future__ import annotations

import os
import re
from decimal import ROUND_HALF_EVEN, Decimal

from farthing.cli.errors import RefusedInputError

CURRENCY_VARIABLE = "FARTHING_CURRENCY"
UNKNOWN = "unknown"
HOURS_PER_MONTH = Decimal(730)
_CENT = Decimal("0.01")
_SPELLING = re.compile(r"[0-9]+(\.[0-9]+)?")


def currency() -> str:
    """The code of the cluster's one currency."""
    code = os.environ.get(CURRENCY_VARIABLE) or "USD"
    if not re.fullmatch(r"[A-Z]{3}", code):
        raise RefusedInputError(
            f"{CURRENCY_VARIABLE}: {code!r} is refused; allowed: a code of three capital letters, such as USD"
        )
    return code


def number(text: object) -> Decimal | None:
    """The figure that a status spells; None for the word unknown and for what is no figure."""
    return Decimal(text) if isinstance(text, str) and _SPELLING.fullmatch(text) else None


def exact(amount: Decimal | None) -> str:
    """All digits that count, at least two after the point: 12.00, 0.284, 0.000004."""
    if amount is None:
        return UNKNOWN
    plain = format(amount.normalize(), "f")
    whole, _, fraction = plain.partition(".")
    return f"{whole}.{fraction.ljust(2, '0')}"


def to_the_cent(amount: Decimal | None) -> str:
    """Rounded to two digits after the point, for columns where the exact amount is one option away."""
    return UNKNOWN if amount is None else str(amount.quantize(_CENT, ROUND_HALF_EVEN))


def plain(amount: Decimal) -> str:
    """The amount as documents spell it: all digits that count and no more."""
    return format(amount.normalize(), "f")
