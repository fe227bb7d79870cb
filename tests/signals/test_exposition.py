"""The parser agrees with the official one, on pages made to break it."""

from __future__ import annotations

import contextlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from farthing.signals.errors import UnusablePageError
from farthing.signals.exposition import (
    MAXIMUM_PAGE_BYTES,
    MAXIMUM_SERIES,
    Labels,
    Series,
    parse_page,
)

WANTED = ("queue", "queue_total", "x:y")
NAMES = st.sampled_from([*WANTED, "queue_total_more", "que", "other"])
LABEL_NAMES = st.sampled_from(["le", "size", "a", "B_9", "reason"])
LABEL_VALUES = st.text(
    st.one_of(st.sampled_from('{}",\\=# n\n'), st.characters(codec="utf-8")), max_size=12
)
NUMBERS = st.one_of(
    st.integers(-(10**20), 10**20).map(str),
    st.floats().map(repr),
    st.sampled_from(["NaN", "+Inf", "-Inf", "Inf", "1e3", "1E-3", "+5", ".5", "5."]),
)
SPACES = st.sampled_from([" ", "  ", "\t", " \t "])
NOISE = st.sampled_from(
    ["", "# HELP queue a {quoted} \\\\ text", "# TYPE queue gauge", "# queue 5"]
)


def escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


@st.composite
def pages(draw: st.DrawFn) -> str:
    """Lines of several names, no series twice."""
    series = draw(
        st.lists(
            st.tuples(NAMES, st.dictionaries(LABEL_NAMES, LABEL_VALUES, max_size=3)),
            max_size=8,
            unique_by=lambda pair: (pair[0], tuple(sorted(pair[1].items()))),
        )
    )
    lines: list[str] = []
    for name, labels in series:
        comma = draw(st.sampled_from(["", ","])) if labels else ""
        inside = ",".join(f'{label}="{escaped(value)}"' for label, value in labels.items())
        block = f"{{{inside}{comma}}}" if labels or draw(st.booleans()) else ""
        gap = draw(SPACES) if not block else draw(st.sampled_from(["", " ", "\t"]))
        timestamp = draw(st.sampled_from(["", " 1395066363000", " -3"]))
        lines += [draw(NOISE), f"{name}{gap}{block} {draw(NUMBERS)}{timestamp}"]
    return "\n".join([*lines, ""])


def official(text: str) -> dict[str, Series]:
    found: dict[str, Series] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name in WANTED:
                labels = tuple(sorted(sample.labels.items()))
                found.setdefault(sample.name, {})[labels] = float(sample.value)
    return found


def comparable(found: dict[str, Series]) -> dict[tuple[str, Labels], str]:
    """NaN is unequal to itself; its text is not."""
    return {(n, labels): repr(v) for n, series in found.items() for labels, v in series.items()}


@given(pages())
def test_every_page_reads_as_the_official_parser_reads_it(text: str) -> None:
    assert comparable(parse_page(text.encode(), WANTED)) == comparable(official(text))


@given(st.text(st.sampled_from('queue_total{}",\\= \t\n#1eNaIf.+-'), max_size=60))
def test_no_text_breaks_the_parser_in_another_way_than_its_own_error(text: str) -> None:
    with contextlib.suppress(UnusablePageError):
        parse_page(text.encode(), WANTED)


@given(st.binary(max_size=80))
def test_no_bytes_break_the_parser_in_another_way_than_its_own_error(body: bytes) -> None:
    with contextlib.suppress(UnusablePageError):
        parse_page(body, WANTED)


@pytest.mark.parametrize(
    ("line", "labels", "value"),
    [
        ('queue{p="x}y"} 5', (("p", "x}y"),), 5.0),
        ('queue{p="x\\"}y\\\\"} 5', (("p", 'x"}y\\'),), 5.0),
        ('queue{a="1",p="two\\nlines",} 5 1395066363000', (("a", "1"), ("p", "two\nlines")), 5.0),
        ('queue{le="0.5"} 7 1.5 # {trace_id="a}b # c"} 0.67 1.2', (("le", "0.5"),), 7.0),
        ('queue 7 # {trace_id="a"} 0.67', (), 7.0),
        ('{"queue",a="b"} 3', (("a", "b"),), 3.0),
        ("queue +Inf", (), math.inf),
        ("  queue\t1\r", (), 1.0),
    ],
)
def test_a_line_reads_as_the_format_defines_it(line: str, labels: Labels, value: float) -> None:
    assert parse_page(f"other 1\n{line}\n".encode(), WANTED) == {"queue": {labels: value}}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"queue", "malformed line: 'queue'"),
        (b"queue ", "malformed line: 'queue '"),
        (b"queue 1_000", "malformed line: 'queue 1_000'"),
        ("queue ٣".encode(), "malformed line: 'queue \\u0663'"),
        (b'queue{a="b} 5', "malformed line: 'queue{a=\"b} 5'"),
        (b'queue{a="b" c="d"} 5', 'malformed labels: \'{a="b" c="d"}\''),
        (b'queue{a="b",a="c"} 5', 'label a is there twice: \'{a="b",a="c"}\''),
        (b'queue{"queue"} 5', "not exactly one name in line: 'queue{\"queue\"}'"),
        (b'{a="b"} 5', "not exactly one name in line: '{a=\"b\"}'"),
        (b"queue 1\nqueue 2", "series queue is there twice with the same labels"),
        (
            b'queue{a="1",b="2"} 1\nqueue{b="2",a="1"} 2',
            "series queue is there twice with the same labels",
        ),
        (b"queue 1 \x1b[31m", "malformed line: 'queue 1 \\x1b[31m'"),
        (b"\xff", "page is not UTF-8 at byte 0"),
        (b"#" * (MAXIMUM_PAGE_BYTES + 1), "page of more than 4194304 bytes"),
        (
            b"".join(b'queue{a="%d"} 1\n' % i for i in range(MAXIMUM_SERIES + 1)),
            "more than 20000 series of the wanted names",
        ),
    ],
)
def test_a_page_that_cannot_be_trusted_is_refused_with_its_reason(
    body: bytes, message: str
) -> None:
    with pytest.raises(UnusablePageError) as caught:
        parse_page(body, WANTED)
    assert str(caught.value) == message


def test_a_million_unwanted_series_cost_nothing_but_their_bytes() -> None:
    bomb = b"o 1\n" * (MAXIMUM_PAGE_BYTES // 4 - 2) + b"queue 1\n"
    assert parse_page(bomb, WANTED) == {"queue": {(): 1.0}}
