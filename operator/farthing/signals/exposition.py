"""Reads the Prometheus text format, only for the names that are wanted.

A page is 4 KB or more and is read for every replica every second, of which the planner needs a
dozen names. So the page is searched for those names first, and only their lines are parsed, but
these strictly: a wanted line that does not follow the grammar makes the page unusable, because a
series that is silently lost looks like load that went away.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable

from farthing.signals.errors import UnusablePageError

MAXIMUM_PAGE_BYTES = 4 * 1024 * 1024
MAXIMUM_SERIES = 20_000
CACHED_LABELS_CHARACTERS = 512
"""Longer label sets are parsed each time, so that a hostile page cannot fill the memory."""

Labels = tuple[tuple[str, str], ...]
"""Sorted pairs of name and value."""
Series = dict[Labels, float]

_QUOTED = r'"((?:[^"\\\n]|\\.)*+)"'
_BLOCK = r'\{(?:[^"}\n]|"(?:[^"\\\n]|\\.)*+")*+\}'
_NUMBER = (
    r"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
    r"|[nN][aA][nN]|[iI][nN][fF](?:[iI][nN][iI][tT][yY])?)"
)
_REST = rf"[ \t]*({_BLOCK})?[ \t]*({_NUMBER})(?:[ \t]+{_NUMBER})?(?:[ \t]+\#[^\n]*)?[ \t\r]*$"
"""After the name: labels, value, time and exemplar."""
_TERM = re.compile(
    rf"[ \t]*(?:([a-zA-Z_:][a-zA-Z0-9_:]*)|{_QUOTED})[ \t]*(?:=[ \t]*{_QUOTED}[ \t]*)?(?:,|$)",
    re.ASCII,
)
_ESCAPE = re.compile(r'\\([\\n"])')


def parse_page(body: bytes, wanted: Iterable[str]) -> dict[str, Series]:
    """The series of every wanted name on the page; a name without series is absent.

    Raises UnusablePageError when the page is too large, not UTF-8, or wrong in a wanted line.
    """
    if len(body) > MAXIMUM_PAGE_BYTES:
        raise UnusablePageError(f"page of more than {MAXIMUM_PAGE_BYTES} bytes")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UnusablePageError(f"page is not UTF-8 at byte {error.start}") from error
    names = frozenset(wanted)
    found: dict[str, Series] = {}
    count = 0
    for match in _lines(names).finditer("\n" + text):
        name, block, number, malformed = match.groups("")
        if not number:
            raise UnusablePageError(f"malformed line: {_excerpt(name + malformed)}")
        inner, labels = _labels(block)
        if bool(name) == bool(inner):
            raise UnusablePageError(f"not exactly one name in line: {_excerpt(name + block)}")
        named = name or inner
        if named not in names:
            continue
        count += 1
        if count > MAXIMUM_SERIES:
            raise UnusablePageError(f"more than {MAXIMUM_SERIES} series of the wanted names")
        series = found.setdefault(named, {})
        if labels in series:
            raise UnusablePageError(f"series {named} is there twice with the same labels")
        series[labels] = float(number)
    return found


@functools.lru_cache(maxsize=256)
def _lines(names: frozenset[str]) -> re.Pattern[str]:
    """Finds lines that start with a wanted name, or with the brace that may hold a quoted one.

    What follows is matched whole or caught as malformed, all in one pass over the page. Starting
    with the line break itself lets the engine jump from line to line.
    """
    choice = "|".join(re.escape(name) for name in sorted(names))
    start = rf"\n[ \t]*(?:({choice})(?![a-zA-Z0-9_:])|(?=\{{))"
    return re.compile(rf"{start}(?:{_REST}|([^\n]*))", re.MULTILINE)


def _labels(block: str) -> tuple[str, Labels]:
    if not block:
        return "", ()
    if len(block) <= CACHED_LABELS_CHARACTERS:
        return _cached_block(block)
    return _parse_block(block)


def _parse_block(block: str) -> tuple[str, Labels]:
    """The quoted metric name inside the braces, if there is one, and the sorted labels."""
    inside = block[1:-1].strip(" \t")
    labels: dict[str, str] = {}
    name = ""
    position = 0
    while position < len(inside):
        match = _TERM.match(inside, position)
        if match is None:
            raise UnusablePageError(f"malformed labels: {_excerpt(block)}")
        bare, quoted, value = match.groups()
        term = bare if quoted is None else _unescaped(quoted)
        if value is not None:
            if term in labels:
                raise UnusablePageError(f"label {term} is there twice: {_excerpt(block)}")
            labels[term] = _unescaped(value)
        elif quoted is not None and not name:
            name = term
        else:
            raise UnusablePageError(f"label without value: {_excerpt(block)}")
        position = match.end()
    return name, tuple(sorted(labels.items()))


_cached_block = functools.lru_cache(maxsize=16_384)(_parse_block)
"""The same few label sets come back every second from every replica."""


def _unescaped(value: str) -> str:
    if "\\" not in value:
        return value
    return _ESCAPE.sub(lambda match: "\n" if match[1] == "n" else match[1], value)


def _excerpt(text: str) -> str:
    """Enough to find the line, without control characters: it ends in events and logs."""
    return ascii(text if len(text) <= 80 else text[:77] + "...")
