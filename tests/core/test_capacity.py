from __future__ import annotations

from typing import Any

import pytest
from tests.builders import (
    AT,
    FP32,
    SENTIMENT,
    after,
    observation,
    profile,
    reading,
    replicas,
    spot,
    workload,
)

from farthing.core.beliefs import DemandEstimate
from farthing.core.capacity import (
    correct,
    estimate,
    missed_fraction,
    modelled_rate,
    quantile_s,
    ready_count,
    shared_dispersion,
)
from farthing.core.domain import LatencyCounts, Provenance, ReplicaPhase, Slo, Variant
from farthing.core.policy import Policy
from farthing.core.state import Correction, PlannerState

KEY = (SENTIMENT, FP32, "NVIDIA-L4")
BOUNDS = (0.1, 0.15, 0.25)


def latency(*counts: float) -> LatencyCounts:
    return LatencyCounts(bounds_s=BOUNDS, counts=counts)


def demand(rate_rps: float, **changes: Any) -> DemandEstimate:
    defaults = {
        "workload": SENTIMENT,
        "rate_rps": rate_rps,
        "forecast_rps": rate_rps,
        "backlog_rps": 0.0,
        "sizing_rps": rate_rps,
        "dispersion": 1.0,
        "queued": 0.0,
        "refused_rps": 0.0,
        "age_s": 0.0,
        "source": "direct",
    }
    return DemandEstimate(**defaults | changes)


HOLDS, LATE = latency(1000, 0, 0, 0), latency(900, 0, 0, 100)


def corrected(
    counts: LatencyCounts | None,
    load: DemandEstimate | None,
    factor: float = 0.9,
    total_rps: float = 100.0,
    second: float = 10.0,
) -> Correction:
    seen = observation(at=after(second), readings=(reading(50, latency=counts),))
    before = Correction(workload=SENTIMENT, factor=factor, as_of=AT)
    state = PlannerState(corrections=(before,))
    return correct(workload(), seen, Policy(), state, load, total_rps)


@pytest.mark.parametrize(
    ("counts", "load", "factor"),
    [
        # Believed: 0.9 × 100 = 90. Late although offered no more: down.
        (LATE, demand(80), 0.9 * 0.93),
        # Late, but there is a reason for it: the model is not to blame.
        (LATE, demand(95), 0.9),
        (LATE, demand(80, refused_rps=1.0), 0.9),
        (LATE, demand(80, backlog_rps=1.0), 0.9),
        # In time although offered more: up.
        (HOLDS, demand(95), 0.9 * 1.02),
        # In time as it should be: slowly back.
        (HOLDS, demand(80), 0.9 * 1.002),
    ],
)
def test_measured_latency_corrects_the_model(
    counts: LatencyCounts, load: DemandEstimate, factor: float
) -> None:
    found = corrected(counts, load)
    assert (found.factor, found.as_of) == (pytest.approx(factor), after(10))


@pytest.mark.parametrize(
    ("factor", "counts", "load", "limit"),
    [
        (0.52, LATE, 10.0, 0.5),
        (1.24, HOLDS, 500.0, 1.25),
        (0.9995, HOLDS, 10.0, 1.0),
        (1.1, HOLDS, 10.0, 1.1),
    ],
)
def test_a_correction_stays_within_its_limits(
    factor: float, counts: LatencyCounts, load: float, limit: float
) -> None:
    assert corrected(counts, demand(load), factor).factor == pytest.approx(limit)


@pytest.mark.parametrize(
    "changes",
    [
        {"counts": None},
        {"counts": latency(99, 0, 0, 0)},
        {"load": None},
        {"total_rps": 0.0},
        {"second": 9.9},
    ],
)
def test_without_evidence_the_correction_stays(changes: dict[str, Any]) -> None:
    found = corrected(**{"counts": LATE, "load": demand(80)} | changes)
    assert found == Correction(workload=SENTIMENT, factor=0.9, as_of=AT)


def test_a_workload_never_seen_is_believed_to_be_as_modelled() -> None:
    found = correct(workload(), observation(), Policy(), PlannerState(), None, 0.0)
    assert found == Correction(workload=SENTIMENT, factor=1.0, as_of=AT)


@pytest.mark.parametrize(
    ("counts", "threshold_s", "missed"),
    [
        ((90, 0, 10, 0), 0.15, 0.1),
        # Evenly filled from 100 to 150 ms: 60 % of 100 are above 120 ms.
        ((0, 100, 0, 0), 0.12, 0.6),
        ((100, 0, 0, 0), 0.05, 0.5),
        ((0, 0, 0, 7), 5.0, 1.0),
        ((0, 0, 0, 0), 0.1, 0.0),
    ],
)
def test_late_answers_are_counted_from_the_histogram(
    counts: tuple[float, ...], threshold_s: float, missed: float
) -> None:
    told = reading(1, latency=latency(*counts))
    assert missed_fraction(told, threshold_s) == pytest.approx(missed)


def test_no_histogram_misses_nothing() -> None:
    assert missed_fraction(reading(1, latency=None), 0.1) == 0.0


@pytest.mark.parametrize(
    ("counts", "fraction", "bound_s"),
    [
        ((50, 49, 1, 0), 0.5, 0.1),
        ((50, 49, 1, 0), 0.99, 0.15),
        ((50, 0, 0, 50), 0.99, None),
        ((0, 0, 0, 0), 0.5, None),
    ],
)
def test_a_quantile_is_the_bound_of_its_bucket(
    counts: tuple[float, ...], fraction: float, bound_s: float | None
) -> None:
    assert quantile_s(latency(*counts), fraction) == bound_s
    assert quantile_s(None, fraction) is None


def test_only_ready_replicas_count() -> None:
    there = (*replicas(2), *replicas(3, phase=ReplicaPhase.STARTING))
    assert ready_count(observation(replicas=there), SENTIMENT) == 2


def test_a_rate_without_a_profile_is_not_known() -> None:
    found = estimate(workload(), Variant(name=FP32), spot(), {}, 1.0, 1.0)
    assert (found.rate_rps, found.startup_s, found.provenance) == (None, 180.0, None)


def test_the_corrected_rate_of_a_profile_is_what_one_replica_serves() -> None:
    known = {KEY: profile(startup_s=20.0)}
    found = estimate(workload(), Variant(name=FP32), spot(), known, 1.0, 0.5)
    assert found.rate_rps == pytest.approx(0.5 * 74.84, abs=0.1)
    assert (found.startup_s, found.provenance) == (20.0, Provenance.DECLARED)


def test_a_lone_request_that_is_late_makes_the_rate_nothing() -> None:
    tight = workload(slo=Slo(latency_s=0.015))
    found = estimate(tight, Variant(name=FP32), spot(), {KEY: profile()}, 4.0, 1.0, 100.0)
    assert (found.rate_rps, found.latency_s) == (0.0, pytest.approx(0.02))


@pytest.mark.parametrize(
    ("sizing_rps", "share"),
    [
        # One replica gets all the bursts: d = 2 allows 61 per second, and 40 are needed.
        (40.0, 2.0),
        # 70 are too many for one at d = 2, not for two at 1.5.
        (70.0, 1.5),
        # 74.8 each at the best: at least 14, so 1 + 1 / 14.
        (1000.0, 1 + 1 / 14),
    ],
)
def test_bursts_are_shared_by_as_many_replicas_as_are_needed(
    sizing_rps: float, share: float
) -> None:
    found = shared_dispersion(profile(), workload(), 2.0, sizing_rps)
    assert found == pytest.approx(share, rel=0.01)


def test_no_more_replicas_share_bursts_than_there_may_be() -> None:
    one = workload(max_replicas=1)
    assert shared_dispersion(profile(), one, 4.0, 70.0) == 4.0
    assert modelled_rate(profile(), one, 4.0) < 40
