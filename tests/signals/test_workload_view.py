"""A workload's reading from its replicas' pages, on a clock that the test moves."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.signals import pages

from farthing.core.domain import BatchSample, Gap, LatencyCounts, LoadReading
from farthing.signals.errors import UnusablePageError
from farthing.signals.roles import read_sample
from farthing.signals.workload_view import WorkloadView

SUBJECT = str(pages.WORKLOAD)


class Story:
    """Moves time, lets replicas answer, and asks for the reading."""

    def __init__(self, *replicas: str) -> None:
        self.at_s = 0.0
        self.view = WorkloadView(pages.WORKLOAD, 0.0)
        self.have(*replicas)

    def have(self, *replicas: str, starting: tuple[str, ...] = ()) -> None:
        present = dict.fromkeys(replicas, (pages.FAST, True))
        present |= dict.fromkeys(starting, (pages.FAST, False))
        self.view.set_members(present, self.at_s)

    def answers(self, replica: str, body: bytes) -> str:
        """What the page was refused for, if it was."""
        member = self.view.members[replica]
        try:
            self.view.accept(member, read_sample(pages.names(), body), self.at_s)
        except UnusablePageError as error:
            member.track.refuse(str(error))
            return str(error)
        return ""

    def second(self, answers: Mapping[str, bytes]) -> None:
        self.at_s += 1.0
        for replica, body in answers.items():
            assert self.answers(replica, body) == ""

    def read(self) -> tuple[LoadReading | None, tuple[Gap, ...]]:
        return self.view.read(pages.instant(self.at_s), self.at_s)

    def reading(self) -> LoadReading:
        reading, gaps = self.read()
        assert reading is not None
        assert gaps == ()
        return reading


def gap(missing: str, since_s: float, because: str) -> Gap:
    return Gap(subject=SUBJECT, missing=missing, since=pages.instant(since_s), because=because)


def test_arrivals_refusals_and_answers_are_the_sum_of_what_each_replica_added() -> None:
    story = Story("a", "b")
    story.second({"a": pages.page(100, batches={4: (10, 1.0)}), "b": pages.page(50)})
    story.second({"a": pages.page(103, slow=1, batches={4: (11, 1.5)}), "b": pages.page(50)})
    story.second(
        {
            "a": pages.page(
                105,
                completed=104,
                refused=1,
                queued=2,
                in_flight=1,
                slow=1,
                batches={4: (11, 1.5)},
            ),
            "b": pages.page(54),
        }
    )
    assert story.reading() == LoadReading(
        workload=pages.WORKLOAD,
        ends_at=pages.instant(3),
        bucket_s=1.0,
        arrivals=(3.0, 6.0),
        refused=(0.0, 1.0),
        queued=2.0,
        in_flight=1.0,
        answered_total=8.0,
        latency=LatencyCounts(bounds_s=(0.1, 0.5), counts=(7.0, 1.0, 0.0)),
        batches=(("fast", "a100", (BatchSample(size=4, batches=11.0, seconds=1.5),)),),
    )


def test_a_restart_adds_what_the_new_process_counted_and_never_subtracts() -> None:
    story = Story("a")
    for body in (pages.page(100), pages.page(110), pages.page(4), pages.page(6)):
        story.second({"a": body})
    reading = story.reading()
    assert (reading.arrivals, reading.answered_total) == ((10.0, 4.0, 2.0), 16.0)


def test_a_known_start_time_tells_a_restart_even_when_the_counters_rose() -> None:
    story = Story("a")
    story.second({"a": pages.page(5, started_unix_s=1_000.0)})
    story.second({"a": pages.page(9, started_unix_s=1_030.0)})
    assert story.reading().answered_total == 9.0


def test_a_page_that_goes_backward_without_a_restart_is_a_gap_and_never_zero() -> None:
    story = Story("a")
    story.second({"a": pages.page(100, started_unix_s=1_000.0)})
    story.second({"a": pages.page(110, started_unix_s=1_000.0)})
    story.at_s = 3.0
    refusal = story.answers("a", pages.page(90, started_unix_s=1_000.0))
    assert refusal == "completed went backward without a restart"
    assert story.reading().ends_at == pages.instant(2)
    story.second({"a": pages.page(130, started_unix_s=1_000.0)})
    assert story.reading().arrivals == (10.0, 10.0, 10.0)


def test_one_counter_that_falls_while_another_rises_is_not_a_restart() -> None:
    story = Story("a")
    story.second({"a": pages.page(100, completed=90)})
    story.at_s = 2.0
    assert story.answers("a", pages.page(101, completed=80)) == (
        "completed went backward without a restart"
    )


def test_counters_that_stay_lower_become_a_new_start_with_nothing_said_of_before() -> None:
    story = Story("a")
    story.second({"a": pages.page(100, completed=90)})
    for _ in range(3):
        story.at_s += 1.0
        assert "went backward" in story.answers("a", pages.page(101, completed=80))
    assert story.read() == (
        None,
        (gap("metrics", 1, "completed went backward without a restart"),),
    )
    story.second({"a": pages.page(103, completed=82)})
    story.second({"a": pages.page(108, completed=85)})
    reading = story.reading()
    assert (reading.arrivals, reading.answered_total) == ((5.0,), 3.0)


def test_a_replica_that_leaves_takes_nothing_of_its_past_with_it() -> None:
    story = Story("a", "b")
    story.second({"a": pages.page(10), "b": pages.page(1_000)})
    story.second({"a": pages.page(12), "b": pages.page(1_030)})
    story.have("a")
    story.second({"a": pages.page(15)})
    reading = story.reading()
    assert (reading.arrivals, reading.answered_total) == ((32.0, 3.0), 35.0)


def test_a_replica_that_joins_counts_from_its_first_page() -> None:
    story = Story("a")
    story.second({"a": pages.page(10)})
    story.have("a", "b")
    story.second({"a": pages.page(12), "b": pages.page(7)})
    story.second({"a": pages.page(14), "b": pages.page(12)})
    reading = story.reading()
    assert (reading.arrivals, reading.answered_total) == ((2.0, 7.0), 9.0)


def test_the_age_is_that_of_the_replica_that_was_heard_longest_ago() -> None:
    story = Story("a", "b")
    for count in range(4):
        story.second({"a": pages.page(count), "b": pages.page(count)})
    story.second({"a": pages.page(9)})
    story.second({"a": pages.page(9)})
    assert story.reading().ends_at == pages.instant(4)


def test_a_silent_replica_is_a_gap_and_the_others_are_still_read() -> None:
    story = Story("a", "b")
    for count in range(3):
        story.second({"a": pages.page(count), "b": pages.page(10 * count, queued=5)})
    story.view.members["b"].track.refuse("no answer within 0.8 s")
    for count in range(3, 9):
        story.second({"a": pages.page(count)})
    reading, gaps = story.read()
    assert gaps == (gap("metrics of pod b", 3, "no answer within 0.8 s"),)
    assert reading is not None
    assert (reading.ends_at, reading.queued) == (pages.instant(9), 0.0)
    assert reading.arrivals == (11.0, 11.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0)


def test_what_came_while_a_replica_was_silent_is_spread_over_that_time() -> None:
    story = Story("a")
    story.second({"a": pages.page(0)})
    story.at_s = 8.0
    story.second({"a": pages.page(16)})
    assert story.reading().arrivals == (2.0,) * 8


def test_silence_of_all_is_a_gap_without_a_reading_since_the_last_was_heard() -> None:
    story = Story("a", "b")
    story.second({"a": pages.page(1), "b": pages.page(1)})
    story.second({"a": pages.page(1)})
    story.view.members["a"].track.refuse("no answer within 0.8 s")
    story.at_s = 7.5
    assert story.read() == (None, (gap("metrics", 2, "no answer within 0.8 s"),))


def test_a_replica_that_never_answered_is_a_gap_since_it_was_due() -> None:
    story = Story("a")
    for count in range(3):
        story.second({"a": pages.page(count)})
    story.have("a", starting=("b",))
    for count in range(3, 23):
        story.second({"a": pages.page(count)})
    assert story.read()[1] == ()
    story.have("a", "b")
    for count in range(23, 29):
        story.second({"a": pages.page(count)})
    assert story.read()[1] == (gap("metrics of pod b", 23, "no answer yet"),)


def test_a_workload_without_ready_replicas_is_a_gap_since_the_last_one_left() -> None:
    story = Story("a")
    story.second({"a": pages.page(1)})
    story.second({"a": pages.page(2)})
    story.have(starting=("b",))
    story.at_s = 9.0
    story.have(starting=("b",))
    assert story.read() == (None, (gap("metrics", 2, "no ready replica"),))


def test_nothing_is_said_about_the_time_without_replicas() -> None:
    story = Story("a")
    story.second({"a": pages.page(1)})
    story.have()
    story.at_s = 20.0
    story.have("b", "c")
    story.second({"b": pages.page(5), "c": pages.page(0)})
    story.second({"b": pages.page(6), "c": pages.page(1)})
    assert story.reading().arrivals == (2.0,)


def test_the_first_page_alone_makes_no_reading() -> None:
    story = Story("a")
    story.second({"a": pages.page(1)})
    assert story.read() == (None, (gap("metrics", 0, "watched for less than 1 s"),))


def test_the_window_is_two_minutes_however_long_the_workload_runs() -> None:
    story = Story("a", "b")
    for count in range(1_000):
        story.second({"a": pages.page(3 * count), "b": pages.page(count)})
    reading = story.reading()
    assert reading.arrivals == (4.0,) * 120
    assert reading.answered_total == 4.0 * 999
    assert reading.latency == LatencyCounts(bounds_s=(0.1, 0.5), counts=(120.0, 0.0, 0.0))


def test_histograms_with_other_bounds_are_added_on_the_bounds_they_share() -> None:
    story = Story("a", "b")
    wide = pages.page(0).replace(b'le="0.1"', b'le="0.25"')
    story.second({"a": pages.page(0), "b": wide})
    wide = pages.page(5, slow=2).replace(b'le="0.1"', b'le="0.25"')
    story.second({"a": pages.page(10, slow=4), "b": wide})
    assert story.reading().latency == LatencyCounts(bounds_s=(0.5,), counts=(15.0, 0.0))


@given(st.lists(st.tuples(st.integers(0, 50), st.booleans()), min_size=1, max_size=60))
def test_no_request_is_lost_or_counted_twice_whenever_a_replica_restarts(
    seconds: list[tuple[int, bool]],
) -> None:
    story = Story("a")
    counter, started_s = 1_000, 0.0
    story.second({"a": pages.page(counter, started_unix_s=started_s)})
    for count, restarts in seconds:
        counter, started_s = (0, 100.0 * (story.at_s + 1.0)) if restarts else (counter, started_s)
        counter += count
        story.second({"a": pages.page(counter, started_unix_s=started_s)})
    reading = story.reading()
    assert reading.arrivals == pytest.approx([count for count, _ in seconds], abs=1e-6)
    assert reading.answered_total == sum(count for count, _ in seconds)
