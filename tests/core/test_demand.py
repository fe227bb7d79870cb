from __future__ import annotations

from math import sqrt

import pytest
from tests.builders import AT, SENTIMENT, after, observation, reading, workload

from farthing.core import demand
from farthing.core.beliefs import DemandEstimate
from farthing.core.policy import Policy

POLICY = Policy()


def estimated(arrivals: list[float], ready: int = 1, startup_s: float = 20.0, **changes: object):
    changes = {"arrivals": tuple(arrivals), "refused": (0.0,) * len(arrivals)} | changes
    found = demand.estimate(
        workload(), observation(readings=(reading(0, **changes),)), POLICY, ready, startup_s
    )
    assert found is not None
    return found


def test_the_trend_is_followed_while_a_replica_starts() -> None:
    # 100 in the last 10 s, 360 in the last 60 s: 10 and 6 per second, 25 s apart: + 0.16 × 20 s.
    # Spread: 1.64 × sqrt(13.2 / 10 s) = 1.884.
    found = estimated([5.2] * 50 + [10.0] * 10)
    assert found == DemandEstimate(
        workload=SENTIMENT,
        rate_rps=pytest.approx(10.0),
        forecast_rps=pytest.approx(13.2),
        backlog_rps=0.0,
        sizing_rps=pytest.approx(13.2 + 1.64 * sqrt(1.32)),
        dispersion=1.0,
        queued=0.0,
        refused_rps=0.0,
        age_s=0.0,
        source="direct",
    )


def test_a_trend_is_not_believed_beyond_half_a_minute() -> None:
    arrivals = [5.2] * 50 + [10.0] * 10
    assert estimated(arrivals, startup_s=300).forecast_rps == pytest.approx(10 + 0.16 * 30)


def test_a_fall_is_no_forecast() -> None:
    assert estimated([10.0] * 50 + [4.0] * 10).forecast_rps == pytest.approx(4.0)


@pytest.mark.parametrize("buckets", [1, 2])
def test_a_spike_is_seen_within_two_buckets(buckets: int) -> None:
    steady = estimated([10.0] * 60)
    spike = estimated([10.0] * (60 - buckets) + [100.0] * buckets)
    # The last three seconds hold (3 - b) × 10 + b × 100.
    assert spike.rate_rps == pytest.approx(((3 - buckets) * 10 + buckets * 100) / 3)
    assert spike.sizing_rps > 4 * steady.sizing_rps


def test_a_spike_is_not_taken_for_burstiness() -> None:
    assert estimated([10.0] * 58 + [100.0] * 2).dispersion == 1.0


def test_noise_is_not_taken_for_a_spike() -> None:
    # 16 in the last second of 10 each: within three standard deviations of the three-second rate.
    assert estimated([10.0] * 59 + [16.0]).rate_rps == pytest.approx(10.6)


def test_bursty_counts_are_more_dispersed_than_poisson() -> None:
    # 0 and 20 in turn: all differences are 20, half their mean square is 200, over a mean of 10: 20, capped at 8.
    assert estimated([0.0, 20.0] * 30).dispersion == demand.MAXIMUM_DISPERSION
    # 5 and 15: 100 / 2 / 10 = 5.
    assert estimated([5.0, 15.0] * 30).dispersion == pytest.approx(5.0)


@pytest.mark.parametrize("arrivals", [[9.0] * 9, [0.3] * 60])
def test_a_few_counts_say_nothing_of_dispersion(arrivals: list[float]) -> None:
    assert estimated(arrivals).dispersion == 1.0


def test_refused_requests_are_arrivals_and_are_counted_apart() -> None:
    found = estimated([10.0] * 60, refused=(0.0,) * 50 + (4.0,) * 10)
    assert (found.rate_rps, found.refused_rps) == (pytest.approx(10.0), pytest.approx(4.0))


@pytest.mark.parametrize(
    ("queued", "ready", "backlog_rps"),
    [(4.0, 1, 0.0), (44.0, 1, 2.0), (44.0, 6, 1.0), (44.0, 0, 2.0)],
)
def test_what_waits_beyond_the_target_is_drained_in_time(
    queued: float, ready: int, backlog_rps: float
) -> None:
    # (queued - 4 each) / 20 s; with no replica ready, the target is that of one.
    found = estimated([0.0] * 60, ready=ready, queued=queued)
    assert found.backlog_rps == pytest.approx(backlog_rps)
    assert found.sizing_rps == pytest.approx(backlog_rps)


def test_a_short_history_is_not_diluted() -> None:
    assert estimated([10.0] * 4).rate_rps == pytest.approx(10.0)


def test_buckets_longer_than_the_window_keep_their_rate() -> None:
    # 15 s buckets with 150 each are 10 per second, whatever the window.
    found = estimated([150.0] * 8, bucket_s=15.0, refused=(15.0,) * 8)
    assert (found.rate_rps, found.refused_rps) == (pytest.approx(10.0), pytest.approx(1.0))


def test_no_history_is_no_demand() -> None:
    assert estimated([]).rate_rps == 0.0


@pytest.mark.parametrize(
    ("age_s", "known"), [(0.0, True), (10.0, True), (10.5, False), (3600.0, False)]
)
def test_a_reading_that_is_too_old_is_a_gap(age_s: float, known: bool) -> None:
    seen = observation(at=after(age_s), readings=(reading(10, ends_at=AT),))
    found = demand.estimate(workload(), seen, POLICY, 1, 20.0)
    assert (found is not None) is known


def test_no_reading_is_a_gap() -> None:
    assert demand.estimate(workload(), observation(), POLICY, 1, 20.0) is None


def test_equal_windows_have_no_trend() -> None:
    seen = observation(readings=(reading(10),))
    found = demand.estimate(workload(), seen, Policy(slow_window_s=10.0), 1, 20.0)
    assert found is not None
    assert found.forecast_rps == found.rate_rps
