"""The profile of a model on some hardware: how long a batch takes, and a start.

The shape is the one that the operator hands to a container in FARTHING_PROFILE::

    {"maximumBatchSize": 16, "batches": [{"size": 1, "milliseconds": "12.5"}], "startupSeconds": 5}
"""

from __future__ import annotations

import dataclasses
import itertools

import orjson

MAXIMUM_BATCH_SIZE = 4096
MAXIMUM_POINTS = 256
MAXIMUM_MILLISECONDS = 600_000.0
MAXIMUM_STARTUP_S = 3600.0


class ProfileError(ValueError):
    """The profile is malformed; the message names the field, its value and what is allowed."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    maximum_batch_size: int
    points: tuple[tuple[int, float], ...]  # (batch size, seconds), sizes ascending
    startup_s: float

    def batch_s(self, size: int) -> float:
        """Seconds for a batch: straight lines between the points, the last one continued.

        Below the smallest measured size its time is used. With points (1, 10 ms) and (3, 20 ms),
        size 2 takes 15 ms and size 5 takes 30 ms.
        """
        first_size, first_s = self.points[0]
        if size <= first_size or len(self.points) == 1:
            return first_s if size <= first_size else first_s * size / first_size
        for (left, left_s), (right, right_s) in itertools.pairwise(self.points):
            if size <= right or right == self.points[-1][0]:
                share = (size - left) / (right - left)
                return max(0.0, left_s + share * (right_s - left_s))
        raise AssertionError("unreachable: the last pair always answers")


DEFAULT = Profile(maximum_batch_size=16, points=((1, 0.012), (16, 0.060)), startup_s=0.0)
"""Used when no profile is known: the order of magnitude of a small encoder on a small GPU."""


def parse(text: str) -> Profile:
    """Read a profile; an empty string is the default one."""
    if not text.strip():
        return DEFAULT
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ProfileError(f"not JSON ({error})") from None
    if not isinstance(document, dict):
        raise ProfileError("a JSON object with maximumBatchSize, batches and startupSeconds")
    known = {"maximumBatchSize", "batches", "startupSeconds"}
    if unknown := sorted(set(document) - known):
        raise ProfileError(f"unknown field {unknown[0]}; allowed are {', '.join(sorted(known))}")
    points = _points(document.get("batches"))
    return Profile(
        maximum_batch_size=_whole(
            "maximumBatchSize", document.get("maximumBatchSize", points[-1][0]), MAXIMUM_BATCH_SIZE
        ),
        points=points,
        startup_s=_number("startupSeconds", document.get("startupSeconds", 0), MAXIMUM_STARTUP_S),
    )


def _points(value: object) -> tuple[tuple[int, float], ...]:
    if not isinstance(value, list) or not 1 <= len(value) <= MAXIMUM_POINTS:
        raise ProfileError(f"batches is a list of 1 to {MAXIMUM_POINTS} points")
    points: dict[int, float] = {}
    for position, point in enumerate(value):
        field = f"batches[{position}]"
        if not isinstance(point, dict) or set(point) != {"size", "milliseconds"}:
            raise ProfileError(f"{field} is an object with size and milliseconds")
        size = _whole(f"{field}.size", point["size"], MAXIMUM_BATCH_SIZE)
        if size in points:
            raise ProfileError(f"{field}.size: {size} is given twice")
        points[size] = (
            _number(f"{field}.milliseconds", point["milliseconds"], MAXIMUM_MILLISECONDS) / 1e3
        )
    return tuple(sorted(points.items()))


def _whole(field: str, value: object, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise ProfileError(f"{field}: {value!r} is not allowed; a whole number from 1 to {most}")
    return value


def _number(field: str, value: object, most: float) -> float:
    """A number, or a decimal string as resources write it."""
    problem = ProfileError(f"{field}: {value!r} is not allowed; a number from 0 to {most:g}")
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise problem
    try:
        number = float(value)
    except ValueError:
        raise problem from None
    if not 0 <= number <= most:
        raise problem
    return number
