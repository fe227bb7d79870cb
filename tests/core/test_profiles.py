from __future__ import annotations

import pytest
from tests.builders import FP32, SENTIMENT, observation, profile, reading

from farthing.core.domain import BatchSample, Provenance, ServiceProfile
from farthing.core.profiles import effective, fit, learn

L4 = "NVIDIA-L4"


@pytest.mark.parametrize(
    ("batches", "fitted"),
    [
        # Two points are a line: 10 ms and 10 ms per item.
        ([(1, 0.02, 1), (11, 0.12, 1)], (0.01, 0.01)),
        # One size cannot tell the two apart: 80 ms / 8 items.
        ([(8, 0.08, 5)], (0.0, 0.01)),
        # Larger batches took no longer: all base, at the mean of 50 and 30 ms.
        ([(1, 0.05, 1), (9, 0.03, 1)], (0.04, 0.0)),
        # The line through (2, 10 ms), (4, 30 ms) would start at -10 ms; through nothing, it is
        # (2 × 10 + 4 × 30) / (4 + 16) = 7 ms per item.
        ([(2, 0.01, 1), (4, 0.03, 1)], (0.0, 0.007)),
        # Weights: sizes 1, 1, 3 with 20, 40, 60 ms are (1, 30 ms, weight 2) and (3, 60 ms, weight 1).
        ([(1, 0.02, 1), (1, 0.04, 1), (3, 0.06, 1), (5, 9.0, 0)], (0.015, 0.015)),
    ],
)
def test_a_profile_is_the_line_through_its_batches(
    batches: list[tuple[float, float, float]], fitted: tuple[float, float]
) -> None:
    assert fit(batches) == pytest.approx(fitted)


def test_a_profile_needs_a_batch() -> None:
    with pytest.raises(ValueError, match="at least one batch"):
        fit([(4, 0.1, 0.0)])


def seen(*samples: tuple[int, float, float]) -> tuple[BatchSample, ...]:
    return tuple(BatchSample(size=s, batches=b, seconds=t) for s, b, t in samples)


def test_batches_that_were_served_teach_a_profile() -> None:
    batches = ((FP32, L4, seen((1, 10, 0.2), (11, 10, 1.2))),)
    (learned,) = learn(observation(readings=(reading(10, batches=batches),)), ())
    assert learned == ServiceProfile(
        workload=SENTIMENT,
        variant=FP32,
        hardware=L4,
        base_s=pytest.approx(0.01),
        per_item_s=pytest.approx(0.01),
        maximum_batch_size=32,
        provenance=Provenance.LEARNED,
    )


def test_a_larger_batch_than_assumed_raises_the_maximum() -> None:
    batches = ((FP32, L4, seen((1, 10, 0.2), (64, 10, 6.5))),)
    (learned,) = learn(observation(readings=(reading(10, batches=batches),)), ())
    assert learned.maximum_batch_size == 64


def test_few_batches_teach_nothing() -> None:
    batches = ((FP32, L4, seen((1, 4, 0.2), (2, 9, 0.0))),)
    assert learn(observation(readings=(reading(10, batches=batches),)), ()) == ()


def test_what_was_learned_stays_when_nothing_is_said() -> None:
    known = profile(provenance=Provenance.LEARNED)
    assert learn(observation(readings=(reading(10),)), (known,)) == (known,)


@pytest.mark.parametrize(("seconds", "renewed"), [(0.204, False), (0.25, True)])
def test_a_learned_profile_is_renewed_only_when_it_says_something_new(
    seconds: float, renewed: bool
) -> None:
    known = profile(provenance=Provenance.LEARNED)
    batches = ((FP32, L4, seen((1, 10, seconds), (11, 10, 1.2))),)
    learned = learn(observation(readings=(reading(10, batches=batches),)), (known,))
    assert (learned != (known,)) is renewed


def test_another_maximum_batch_size_renews_a_learned_profile() -> None:
    known = profile(provenance=Provenance.LEARNED, maximum_batch_size=16)
    batches = ((FP32, L4, seen((1, 10, 0.2), (11, 10, 1.2))),)
    (learned,) = learn(observation(readings=(reading(10, batches=batches),)), (known,))
    assert learned.maximum_batch_size == 32


def test_a_given_profile_counts_before_a_learned_one() -> None:
    learned = profile(provenance=Provenance.LEARNED, base_s=0.5)
    other = profile(provenance=Provenance.LEARNED, hardware="cpu")
    assert effective(observation(), (learned, other)) == {
        (SENTIMENT, FP32, L4): profile(),
        (SENTIMENT, FP32, "cpu"): other,
    }
