"""What a person sees, letter by letter."""

from __future__ import annotations

import io
from decimal import Decimal

import pytest
from benchmarks.demo import screen, view
from rich import console

CHAT = view.ServiceView(
    name="chat",
    slo_ms=600,
    pools=(
        view.PoolView(pool="l4-reserved", ready=2),
        view.PoolView(pool="l4-spot", ready=1, starting=2, on_notice=1),
    ),
    arrivals_rps=61.24,
    queued=4,
    p99_ms=611.7,
    per_hour=Decimal("2.036"),
    spent=Decimal("0.01234"),
    decision="l4-reserved 2, l4-spot 4: 6 replicas for 110.0 requests/s",
)
EMBEDDER = view.ServiceView(
    name="embedder",
    slo_ms=400,
    pools=(),
    arrivals_rps=0,
    queued=None,
    p99_ms=None,
    per_hour=Decimal(0),
    spent=Decimal(0),
    decision=None,
)
VIEW = view.View(
    at_s=62.4,
    phase="burst",
    phase_left_s=17.6,
    left_s=132.6,
    services=(CHAT, EMBEDDER),
    events=(view.Event(at_s=80, what="node l4-spot-0 has a notice"),),
)


def shown(terminal: console.Console) -> str:
    with terminal.capture() as capture:
        terminal.print(view.rendered(VIEW))
    return capture.get()


def test_a_plain_line_says_where_a_service_stands_and_what_is_unknown() -> None:
    assert view.plain_lines(VIEW) == [
        "  62 s burst        chat        61.2/s  queue 4        p99 612/600 ms  $2.04/h"
        "  spent $0.0123  l4-reserved 2, l4-spot 1 + 2 starting + 1 on notice",
        "  62 s burst        embedder     0.0/s  queue unknown  p99 unknown/400 ms  $0.00/h"
        "  spent $0.0000  no replica",
    ]


def test_the_live_view_says_everything_in_words_and_shapes() -> None:
    terminal = console.Console(file=io.StringIO(), width=100, no_color=True)

    assert [line.rstrip() for line in shown(terminal).splitlines()] == [
        " Farthing   burst  18 s left of this phase, 2:13 in all",
        "",
        " SERVICE    REPLICAS BY POOL                   ARRIVALS/S     QUEUE     P99/SLO MS    $/H   SPENT $",
        " ──────────────────────────────────────────────────────────────────────────────────────────────────",
        " chat       l4-reserved ██ 2                         61.2         4   612/600 late   2.04    0.0123",
        "            l4-spot     █░░▼ 1 + 2 starting",
        "            + 1 on notice",
        " embedder   none                                      0.0   unknown    unknown/400   0.00    0.0000",
        "",
        "╭─ last decision ──────────────────────────────────────────────────────────────────────────────────╮",
        "│ chat: l4-reserved 2, l4-spot 4: 6 replicas for 110.0 requests/s                                  │",
        "│ embedder: unknown                                                                                │",
        "╰──────────────────────────────────────────────────────────────────────────────────────────────────╯",
        "  80 s  node l4-spot-0 has a notice",
        "",
        "█ ready  ░ starting  ▼ on notice  ▁ leaving    Ctrl-C ends it",
    ]


def test_without_a_terminal_an_event_is_told_once() -> None:
    told: list[str] = []
    lines = screen.PlainLines(told.append)

    lines.show(VIEW)
    lines.show(VIEW)

    assert told == ["  80 s * node l4-spot-0 has a notice", *(view.plain_lines(VIEW) * 2)]


def test_color_is_left_out_where_it_is_not_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")

    uncolored = shown(console.Console(force_terminal=True, width=100))

    assert "\x1b[31m" not in uncolored
    assert "\x1b[32m" not in uncolored
