"""Differences only, increases first, and never faster than agreed."""

from __future__ import annotations

from farthing.kube.actuate import covers
from farthing.kube.throttle import Backoff, TokenBucket


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_an_object_covers_what_is_wanted_when_it_says_at_least_that() -> None:
    actual = {"spec": {"replicas": 2, "paused": False, "list": [{"a": 1, "default": True}]}}
    assert covers(actual, {"spec": {"replicas": 2, "list": [{"a": 1}]}})
    assert not covers(actual, {"spec": {"replicas": 3}})
    assert not covers(actual, {"spec": {"list": []}})
    assert not covers(actual, {"spec": {"other": None}})


def test_writes_come_in_a_burst_and_then_at_a_steady_rate() -> None:
    clock = Clock()
    bucket = TokenBucket(burst=3, per_second=2, clock=clock)
    assert [bucket.take() for _ in range(4)] == [True, True, True, False]
    clock.now_s = 0.5
    assert [bucket.take() for _ in range(2)] == [True, False]
    clock.now_s = 1000.0
    assert [bucket.take() for _ in range(4)] == [True, True, True, False]


def test_what_is_refused_is_tried_later_each_time_until_it_succeeds() -> None:
    clock = Clock()
    backoff = Backoff(first_s=5, longest_s=15, clock=clock)
    waits = []
    for _ in range(4):
        backoff.failed("x")
        before = clock.now_s
        while not backoff.allows("x"):
            clock.now_s += 1
        waits.append(clock.now_s - before)
    assert waits == [5, 10, 15, 15]
    backoff.failed("x")
    backoff.succeeded("x")
    assert backoff.allows("x")
