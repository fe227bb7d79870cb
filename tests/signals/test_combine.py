"""The replicas first, Prometheus where they are silent, and totals that do not jump."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st
from tests.signals import pages

from farthing.core.domain import Gap, LoadReading
from farthing.signals.combine import Signals, Totals, combine

AT = pages.instant(500)
SUBJECT = str(pages.WORKLOAD)


def says(total: float, source: str = "direct", *, age_s: float = 1.0) -> Signals:
    reading = LoadReading(
        workload=pages.WORKLOAD,
        ends_at=AT - timedelta(seconds=age_s),
        bucket_s=1.0,
        arrivals=(1.0,),
        refused=(0.0,),
        queued=0.0,
        in_flight=0.0,
        answered_total=total,
        source=source,
    )
    return Signals(readings=(reading,))


def misses(because: str, missing: str = "metrics") -> Signals:
    return Signals(gaps=(Gap(subject=SUBJECT, missing=missing, since=AT, because=because),))


def test_what_the_replicas_say_comes_first() -> None:
    signals, _ = combine(says(5.0), says(9.0, "prometheus"), {}, AT)
    assert signals == says(5.0)


def test_prometheus_speaks_for_silent_replicas_and_the_silence_is_still_said() -> None:
    signals, _ = combine(misses("no answer"), says(0.0, "prometheus", age_s=20.0), {}, AT)
    assert signals == Signals(
        readings=says(0.0, "prometheus", age_s=20.0).readings,
        gaps=misses("no answer", "metrics from the replicas").gaps,
    )


def test_a_reading_of_prometheus_that_is_too_old_is_not_taken() -> None:
    signals, _ = combine(misses("no answer"), says(0.0, "prometheus", age_s=61.0), {}, AT)
    assert signals == misses("no answer")


def test_when_neither_answers_both_reasons_are_given() -> None:
    signals, _ = combine(misses("no answer"), misses("Prometheus: down"), {}, AT)
    assert [gap.because for gap in signals.gaps] == ["no answer", "Prometheus: down"]


def test_prometheus_does_not_speak_for_replicas_that_are_not_there() -> None:
    signals, _ = combine(misses("no ready replica"), says(0.0, "prometheus"), {}, AT)
    assert signals == misses("no ready replica")


def test_a_gap_of_prometheus_is_silent_while_the_replicas_answer() -> None:
    signals, _ = combine(says(5.0), misses("Prometheus: down"), {}, AT)
    assert signals == says(5.0)


def test_the_total_goes_on_without_a_jump_when_the_source_changes_and_changes_back() -> None:
    totals: Totals = {}
    seen: list[float] = []
    story = [
        (says(100.0), misses("x")),
        (misses("no answer"), says(7.0, "prometheus")),
        (misses("no answer"), says(27.0, "prometheus")),
        (misses("no answer"), misses("x")),
        (says(130.0), says(47.0, "prometheus")),
        (says(135.0), misses("x")),
    ]
    for direct, prometheus in story:
        signals, totals = combine(direct, prometheus, totals, AT)
        seen += [reading.answered_total for reading in signals.readings]
    assert seen == [100.0, 100.0, 120.0, 130.0, 135.0]


def test_a_workload_that_no_source_names_is_forgotten() -> None:
    _, totals = combine(says(100.0), Signals(), {}, AT)
    assert combine(Signals(), Signals(), totals, AT) == (Signals(), {})


@given(st.lists(st.tuples(st.sampled_from(["direct", "prometheus"]), st.floats(0, 1e6))))
def test_the_total_never_falls_whatever_the_sources_say(story: list[tuple[str, float]]) -> None:
    totals: Totals = {}
    before = 0.0
    for source, total in story:
        direct = says(total) if source == "direct" else misses("no answer")
        signals, totals = combine(direct, says(total, "prometheus"), totals, AT)
        assert signals.readings[0].answered_total >= before
        before = signals.readings[0].answered_total
