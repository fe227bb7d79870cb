"""The batching rule in made-up time: what it promises for any arrivals, and its figures."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.serving import virtual_queue
from tests.serving.virtual_queue import Arrival, Outcome, Server

from farthing_server.batch_time import BatchTime, Line
from farthing_server.scheduling import Batch, Limits, Piece, Refusal, Request, Scheduler

SLO_S = 0.25
LINE = Line(fixed_s=0.010, per_item_s=0.010)
SERVER = Server(
    line=LINE, limits=Limits(maximum_batch_size=32, maximum_queued_items=1024, slo_s=SLO_S)
)


@st.composite
def servers(draw: st.DrawFn) -> Server:
    return Server(
        line=Line(
            fixed_s=draw(st.sampled_from([0.0, 0.005, 0.05])),
            per_item_s=draw(st.sampled_from([0.0, 0.001, 0.01, 0.3])),
        ),
        limits=Limits(
            maximum_batch_size=draw(st.integers(1, 8)),
            maximum_queued_items=draw(st.integers(1, 40)),
            slo_s=SLO_S,
        ),
    )


@st.composite
def arrivals(draw: st.DrawFn) -> list[Arrival]:
    now_s = 0.0
    made = []
    for _ in range(draw(st.integers(1, 40))):
        now_s += draw(st.sampled_from([0.0, 0.001, 0.02, 0.3, 7.0]))
        allowed_s = draw(st.sampled_from([SLO_S, SLO_S, SLO_S / 2, 0.02]))
        items = draw(st.sampled_from([1, 1, 1, 2, 5, 17]))
        made.append(Arrival(at_s=now_s, items=items, deadline_s=now_s + allowed_s))
    return made


def pieces_of(outcome: Outcome, number: int) -> list[Piece]:
    return [piece for batch in outcome.batches for piece in batch.pieces if piece.number == number]


@given(servers(), arrivals())
def test_every_request_is_answered_or_refused_exactly_once(
    server: Server, made: list[Arrival]
) -> None:
    outcome = virtual_queue.run(server, made)
    assert sorted([*outcome.answered_at_s, *outcome.refused]) == list(range(len(made)))


@given(servers(), arrivals())
def test_the_items_of_an_answered_request_are_computed_once_each_and_in_order(
    server: Server, made: list[Arrival]
) -> None:
    outcome = virtual_queue.run(server, made)
    for number in outcome.answered_at_s:
        pieces = pieces_of(outcome, number)
        items = [piece.start + step for piece in pieces for step in range(piece.count)]
        assert items == list(range(made[number].items))


@given(servers(), arrivals())
def test_a_batch_is_never_empty_and_never_larger_than_allowed(
    server: Server, made: list[Arrival]
) -> None:
    outcome = virtual_queue.run(server, made)
    assert all(1 <= batch.size <= server.limits.maximum_batch_size for batch in outcome.batches)


@given(servers(), arrivals())
def test_no_one_is_served_before_an_earlier_deadline_that_waits(
    server: Server, made: list[Arrival]
) -> None:
    outcome = virtual_queue.run(server, made)
    for batch, waiting in zip(outcome.batches, outcome.waiting_at_batch, strict=True):
        served = [(made[piece.number].deadline_s, piece.number) for piece in batch.pieces]
        assert served == sorted(served)
        assert not waiting or served[-1] <= waiting[0]


@given(servers(), arrivals())
def test_when_the_batch_time_is_known_an_answer_is_in_time(
    server: Server, made: list[Arrival]
) -> None:
    """All but those that an idle server takes against its belief, rather than refuse for ever."""
    outcome = virtual_queue.run(server, made)
    late = {
        number
        for number, at_s in outcome.answered_at_s.items()
        if at_s > made[number].deadline_s + 1e-9
    }
    assert late <= outcome.must_run


@pytest.mark.parametrize(
    ("share_of_greatest", "least_in_time"), [(0.3, 0.999), (0.7, 0.998), (0.9, 0.96), (1.0, 0.90)]
)
def test_under_the_greatest_rate_nearly_all_are_in_time(
    share_of_greatest: float, least_in_time: float
) -> None:
    made = virtual_queue.poisson(share_of_greatest * SERVER.greatest_rps, SLO_S, 10_000, seed=7)
    outcome = virtual_queue.run(SERVER, made)
    assert len(outcome.answered_at_s) / len(made) >= least_in_time


@pytest.mark.parametrize("share_of_greatest", [1.5, 3.0, 10.0])
def test_overload_does_not_lower_what_is_answered_in_time(share_of_greatest: float) -> None:
    """Without refusals, 1.5 times the greatest rate leaves one request in a hundred in time."""
    made = virtual_queue.poisson(share_of_greatest * SERVER.greatest_rps, SLO_S, 10_000, seed=7)
    outcome = virtual_queue.run(SERVER, made)
    answered_rps = len(outcome.answered_at_s) / made[-1].at_s
    assert answered_rps >= 0.92 * SERVER.greatest_rps
    at_once = [number for number, waited_s in outcome.refused_after_s.items() if waited_s == 0.0]
    assert len(at_once) >= 0.9 * len(outcome.refused)


def test_the_batch_time_is_learned_from_a_wrong_belief() -> None:
    wrong = Server(line=LINE, limits=SERVER.limits, prior=Line(fixed_s=0.001, per_item_s=0.0001))
    made = virtual_queue.poisson(0.9 * SERVER.greatest_rps, SLO_S, 10_000, seed=7)
    outcome = virtual_queue.run(wrong, made)
    in_time = [n for n, at_s in outcome.answered_at_s.items() if at_s <= made[n].deadline_s + 1e-9]
    assert len(in_time) / len(made) >= 0.95


def test_a_belief_that_no_request_can_be_in_time_is_tried_again() -> None:
    """A first batch that took a minute must not close the server for good."""
    afraid = Server(line=LINE, limits=SERVER.limits, prior=Line(fixed_s=60.0, per_item_s=0.0))
    made = [Arrival(at_s=float(second), deadline_s=second + SLO_S) for second in range(1, 5)]
    assert sorted(virtual_queue.run(afraid, made).answered_at_s) == [0, 1, 2, 3]


def scheduler(line: Line = LINE, queued_items: int = 1024) -> Scheduler:
    return Scheduler(
        Limits(maximum_batch_size=32, maximum_queued_items=queued_items, slo_s=SLO_S),
        BatchTime(line),
    )


def request(number: int, *, items: int = 1, at_s: float = 0.0, within_s: float = SLO_S) -> Request:
    return Request(number=number, items=items, arrived_s=at_s, deadline_s=at_s + within_s)


def test_the_window_is_the_batch_of_which_two_fit_into_the_slo() -> None:
    assert scheduler().window == 11  # 2 · (10 + 10 · 11) = 240 ms, and 12 would take 260
    assert scheduler(Line(fixed_s=0.01, per_item_s=0.0)).window == 32
    assert scheduler(Line(fixed_s=10.0, per_item_s=1.0)).window == 1


def test_an_idle_server_starts_at_once_with_what_is_there() -> None:
    queue = scheduler()
    assert queue.offer(request(1, items=2), 0.0) is None
    assert queue.next_batch(0.0) == Batch(pieces=(Piece(number=1, start=0, count=2),), dropped=())


def test_the_earliest_deadline_goes_first_and_a_request_may_be_split() -> None:
    queue = Scheduler(
        Limits(maximum_batch_size=4, maximum_queued_items=99, slo_s=SLO_S), BatchTime(LINE)
    )
    assert queue.offer(request(1, items=3), 0.0) is None
    assert queue.offer(request(2, items=2, within_s=0.2), 0.0) is None
    assert queue.next_batch(0.0) == Batch(
        pieces=(Piece(number=2, start=0, count=2), Piece(number=1, start=0, count=2)), dropped=()
    )
    queue.finished(0.05)
    assert queue.next_batch(0.05) == Batch(pieces=(Piece(number=1, start=2, count=1),), dropped=())


def test_a_deadline_that_cannot_be_met_is_refused_on_arrival_with_the_numbers() -> None:
    queue = scheduler()
    for number in range(20):
        assert queue.offer(request(number), 0.0) is None
    # 21 items are a window of 11 and one of 10: 120 + 110 ms.
    refusal = queue.offer(request(20, within_s=0.2), 0.0)
    assert refusal is None  # its own deadline is earlier than theirs: it goes first
    refusal = queue.offer(request(21, items=3), 0.0)
    assert refusal is not None
    assert (refusal.reason, round(refusal.needed_s, 3)) == ("deadline", 0.27)
    assert round(refusal.backlog_s, 3) == 0.23


def test_a_full_queue_refuses_at_once() -> None:
    queue = scheduler(queued_items=3)
    assert queue.offer(request(1, items=2), 0.0) is None
    refusal = queue.offer(request(2, items=2), 0.0)
    assert isinstance(refusal, Refusal)
    assert refusal.reason == "queue_full"


def test_a_head_that_would_force_a_small_batch_is_dropped_for_those_behind_it() -> None:
    queue = scheduler()
    for number in range(12):
        assert queue.offer(request(number, at_s=number * 1e-3), number * 1e-3) is None
    batch = queue.next_batch(0.245)  # 5 ms are left for the first: not even a batch of one
    assert batch.dropped[0].number == 0
    assert all(refusal.reason == "late" for refusal in batch.dropped)


def test_a_head_that_can_be_served_without_harm_is_kept() -> None:
    queue = scheduler()
    assert queue.offer(request(1, within_s=0.1), 0.0) is None
    assert queue.offer(request(2, items=10), 0.0) is None
    # 25 ms are left for the first: alone it takes 20, and the second then still has 205 for 110.
    assert queue.next_batch(0.075) == Batch(pieces=(Piece(number=1, start=0, count=1),), dropped=())


def test_a_client_with_a_shorter_deadline_of_its_own_is_refused_not_tried() -> None:
    queue = scheduler()
    refusal = queue.offer(request(1, within_s=0.005), 100.0)
    assert refusal is not None
    assert refusal.reason == "deadline"
