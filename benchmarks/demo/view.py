"""What a person sees while it runs: a live table on a terminal, a line now and then elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from rich import box, console, panel, table, text

LINE_EVERY_S = 5.0
_EVENTS_SHOWN = 6
# A replica is one sign: its shape says its state, so that nothing depends on color.
_SIGNS = (("ready", "█"), ("starting", "░"), ("on notice", "▼"), ("leaving", "▁"))
_STYLES = {"ready": "green", "starting": "yellow", "on notice": "red", "leaving": "dim"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolView:
    """Replicas of a service in one pool, by state."""

    pool: str
    ready: int = 0
    starting: int = 0
    on_notice: int = 0
    leaving: int = 0

    def counts(self) -> tuple[tuple[str, int], ...]:
        counts = (self.ready, self.starting, self.on_notice, self.leaving)
        return tuple((state, count) for (state, _), count in zip(_SIGNS, counts, strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceView:
    """One service now; none where something is not known, which is shown as the word."""

    name: str
    slo_ms: int
    pools: tuple[PoolView, ...]
    arrivals_rps: float
    queued: int | None
    p99_ms: float | None
    per_hour: Decimal
    spent: Decimal
    decision: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened, at this many seconds after the start."""

    at_s: float
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    at_s: float
    phase: str
    phase_left_s: float
    left_s: float
    services: tuple[ServiceView, ...]
    events: tuple[Event, ...]


def plain_lines(view: View) -> list[str]:
    """One line per service, for logs and pipes."""
    return [
        f"{view.at_s:4.0f} s {view.phase:<12} {one.name:<9}"
        f" {one.arrivals_rps:6.1f}/s  queue {_known(one.queued):<8}"
        f" p99 {_known(one.p99_ms, '{:.0f}')}/{one.slo_ms} ms"
        f"  {_dollars(one.per_hour, 2)}/h  spent {_dollars(one.spent, 4)}"
        f"  {_pools_in_words(one.pools)}"
        for one in view.services
    ]


def plain_event(event: Event) -> str:
    return f"{event.at_s:4.0f} s * {event.what}"


def rendered(view: View) -> console.RenderableType:
    """The live view."""
    return console.Group(_heading(view), _services(view), _decisions(view), _events(view.events))


def _heading(view: View) -> text.Text:
    heading = text.Text()
    heading.append(" Farthing ", style="bold reverse")
    heading.append(f"  {view.phase}", style="bold")
    heading.append(f"  {view.phase_left_s:.0f} s left of this phase, {_clock(view.left_s)} in all")
    return heading


def _services(view: View) -> table.Table:
    shown = table.Table(box=box.SIMPLE_HEAD, expand=True, pad_edge=False)
    shown.add_column("SERVICE", no_wrap=True)
    shown.add_column("REPLICAS BY POOL", ratio=1)
    for heading in ("ARRIVALS/S", "QUEUE", "P99/SLO MS", "$/H", "SPENT $"):
        shown.add_column(heading, justify="right", no_wrap=True)
    for one in view.services:
        is_late = one.p99_ms is not None and one.p99_ms > one.slo_ms
        late = " late" if is_late else ""
        shown.add_row(
            text.Text(one.name, style="bold"),
            _bars(one.pools),
            f"{one.arrivals_rps:.1f}",
            _known(one.queued),
            text.Text(
                f"{_known(one.p99_ms, '{:.0f}')}/{one.slo_ms}{late}",
                style="red" if is_late else "",
            ),
            f"{one.per_hour:.2f}",
            f"{one.spent:.4f}",
        )
    return shown


def _bars(pools: Sequence[PoolView]) -> text.Text:
    bars = text.Text()
    width = max((len(one.pool) for one in pools), default=0)
    for at, one in enumerate(pools):
        bars.append(("\n" if at else "") + f"{one.pool:<{width}} ")
        for (state, sign), (_, count) in zip(_SIGNS, one.counts(), strict=True):
            bars.append(sign * count, style=_STYLES[state])
        bars.append(f" {_counts_in_words(one)}")
    return bars if pools else text.Text("none")


def _decisions(view: View) -> console.RenderableType:
    lines = text.Text()
    for at, one in enumerate(view.services):
        lines.append(("\n" if at else "") + f"{one.name}: ", style="bold")
        lines.append(one.decision or "unknown")
    return panel.Panel(lines, title="last decision", title_align="left", box=box.ROUNDED)


def _events(events: Sequence[Event]) -> console.RenderableType:
    shown = text.Text(
        "\n".join(f"{one.at_s:4.0f} s  {one.what}" for one in events[-_EVENTS_SHOWN:])
    )
    legend = "  ".join(f"{sign} {state}" for state, sign in _SIGNS)
    return console.Group(shown, text.Text(f"\n{legend}    Ctrl-C ends it", style="dim"))


def _pools_in_words(pools: Sequence[PoolView]) -> str:
    return ", ".join(f"{one.pool} {_counts_in_words(one)}" for one in pools) or "no replica"


def _counts_in_words(pool: PoolView) -> str:
    """2, or 2 + 1 starting."""
    parts = [f"{count} {state}" for state, count in pool.counts()[1:] if count]
    return " + ".join([str(pool.ready), *parts] if pool.ready or not parts else parts)


def _known(value: float | None, form: str = "{}") -> str:
    return "unknown" if value is None else form.format(value)


def _dollars(amount: Decimal, places: int) -> str:
    return f"${amount:.{places}f}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"
