"""The kinds of values that fields take, each with its outside spelling.

Money and every other fraction is a decimal string outside and a `Decimal` inside:
a float never carries an amount. The patterns take ASCII digits only, so that
"NaN", "1e309", "-1", "0x10" and "٣" are all refused by the API server itself.
"""

import re
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, StringConstraints, WithJsonSchema
from pydantic_core import PydanticCustomError

from farthing.api.part import ALLOWED, RULES, rule

MONEY_PATTERN = r"^(0|[1-9][0-9]{0,11})(\.[0-9]{1,9})?$"
PERCENT_PATTERN = r"^(100(\.0{1,6})?|(0|[1-9][0-9]?)(\.[0-9]{1,6})?)$"
RATE_PATTERN = r"^(0|[1-9][0-9]{0,2})(\.[0-9]{1,9})?$"
UNKNOWN = "unknown"
NANO = Decimal("0.000000001")


def rounded(amount: Decimal) -> Decimal:
    """`amount` at the resolution that fields can hold, one billionth."""
    return amount.quantize(NANO, rounding=ROUND_HALF_EVEN)


def number_or_unknown(value: Decimal | None, places: int = 3) -> str:
    """A measured figure for a status: rounded, without useless zeros, or the word unknown."""
    if value is None or not value.is_finite():
        return UNKNOWN
    rest = format(round(value, places), "f")
    return (rest.rstrip("0").rstrip(".") if "." in rest else rest) or "0"


def _decimal_type(
    pattern: str, max_length: int, allowed: str, *, positive: bool
) -> tuple[Any, ...]:
    shape = re.compile(pattern, re.ASCII)

    def parse(value: object) -> Decimal:
        text = format(value, "f") if isinstance(value, Decimal) else value
        if not isinstance(text, str) or not shape.fullmatch(text):
            raise PydanticCustomError("decimal", "{allowed}", {"allowed": allowed})
        number = Decimal(text)
        if positive and number == 0:
            raise PydanticCustomError("decimal", "{allowed}", {"allowed": allowed})
        return number

    nonzero = " && self.matches('[1-9]')" if positive else ""
    cel_pattern = pattern.replace("\\.", "[.]")
    return (
        BeforeValidator(parse),
        PlainSerializer(lambda number: format(number, "f"), return_type=str),
        WithJsonSchema(
            {
                "type": "string",
                "maxLength": max_length,
                "pattern": pattern,
                ALLOWED: allowed,
                RULES: [rule(f"self.matches('{cel_pattern}'){nonzero}", allowed=allowed)],
            }
        ),
    )


_MONEY = 'a decimal string with at most 12 digits before the point and 9 after it, such as "12.00"'
_POSITIVE = f"{_MONEY}, greater than 0"
_PERCENT = 'a decimal string from "0" to "100" with at most 6 decimals, such as "98.7"'
_RATE = 'a decimal string from "0" to "999.999999999", such as "0.12"'

Money = Annotated[Decimal, *_decimal_type(MONEY_PATTERN, 22, _MONEY, positive=False)]
PositiveMoney = Annotated[Decimal, *_decimal_type(MONEY_PATTERN, 22, _POSITIVE, positive=True)]
# The same spelling for figures that are no money: milliseconds, rates, counts.
Number = Annotated[Decimal, *_decimal_type(MONEY_PATTERN, 22, _MONEY, positive=False)]
PositiveNumber = Annotated[Decimal, *_decimal_type(MONEY_PATTERN, 22, _POSITIVE, positive=True)]
Percent = Annotated[Decimal, *_decimal_type(PERCENT_PATTERN, 10, _PERCENT, positive=False)]
PositivePercent = Annotated[
    Decimal, *_decimal_type(PERCENT_PATTERN, 10, f"{_PERCENT}, greater than 0", positive=True)
]
HourlyRate = Annotated[Decimal, *_decimal_type(RATE_PATTERN, 13, _RATE, positive=False)]


def text_type(pattern: str, max_length: int, allowed: str) -> tuple[Any, ...]:
    return (
        StringConstraints(pattern=pattern, min_length=1, max_length=max_length),
        Field(json_schema_extra={ALLOWED: allowed}),
    )


NumberOrUnknown = Annotated[
    str,
    *text_type(
        r"^(unknown|(0|[1-9][0-9]{0,11})(\.[0-9]{1,9})?)$",
        22,
        "a decimal string or the word unknown",
    ),
]
Name = Annotated[
    str,
    *text_type(
        r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        63,
        "at most 63 lower-case letters, digits and hyphens, such as torch",
    ),
]
ObjectName = Annotated[
    str,
    *text_type(
        r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$",
        253,
        "at most 253 lower-case letters, digits, hyphens and dots",
    ),
]
VariantName = Annotated[
    str,
    *text_type(
        r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        30,
        "at most 30 lower-case letters, digits and hyphens, such as int8",
    ),
]
LabelValue = Annotated[
    str,
    StringConstraints(pattern=r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$", max_length=63),
    Field(
        json_schema_extra={
            ALLOWED: "a label value: at most 63 letters, digits, hyphens, dots and underscores"
        }
    ),
]
Token = Annotated[
    str,
    *text_type(
        r"^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$",
        63,
        "at most 63 letters, digits, hyphens, dots and underscores, such as NVIDIA-L4",
    ),
]
HttpPath = Annotated[
    str,
    *text_type(
        r"^/[A-Za-z0-9._~/-]*$",
        256,
        "an absolute path of letters, digits and . _ ~ / -, such as /metrics",
    ),
]
MetricName = Annotated[
    str,
    *text_type(
        r"^[a-zA-Z_:][a-zA-Z0-9_:]*$",
        200,
        "the name of a Prometheus metric, such as farthing_requests_queued",
    ),
]
Instant = Annotated[
    str,
    StringConstraints(
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?Z$",
        max_length=30,
    ),
    Field(json_schema_extra={"format": "date-time", ALLOWED: "an instant in UTC, RFC 3339"}),
]
ShortText = Annotated[str, StringConstraints(max_length=256)]
LongText = Annotated[str, StringConstraints(max_length=1024)]
Reason = Annotated[
    str, *text_type(r"^[A-Za-z]([A-Za-z0-9]*)$", 128, "one CamelCase word, such as WithinSLO")
]

CapacityType = Literal["Reserved", "OnDemand", "Spot"]
Period = Literal["Hour", "Day", "Month"]
Precision = Literal["Float32", "Float16", "BFloat16", "Int8"]
Provenance = Literal["Declared", "Measured", "Learned"]
