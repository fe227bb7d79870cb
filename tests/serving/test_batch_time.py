"""The learned batch time: a + b · size from what was seen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farthing_server.batch_time import BatchTime, Line

UNKNOWN = Line(fixed_s=0.001, per_item_s=0.001)


def taught(*batches: tuple[int, float]) -> BatchTime:
    learned = BatchTime(UNKNOWN)
    for size, duration_s in batches:
        learned.observe(size, duration_s)
    return learned


def test_two_sizes_give_the_line_through_them() -> None:
    line = taught((1, 0.020), (4, 0.050)).line
    assert (line.fixed_s, line.per_item_s) == (pytest.approx(0.010), pytest.approx(0.010))


def test_one_size_keeps_the_shape_and_moves_the_line_to_the_point() -> None:
    line = taught((3, 0.040)).line  # believed: 1 ms + 1 ms · 3 = 4 ms, so both grow tenfold
    assert (line.fixed_s, line.per_item_s) == (pytest.approx(0.010), pytest.approx(0.010))


def test_one_stalled_batch_in_nine_changes_nothing() -> None:
    steady = [(1, 0.020), (4, 0.050)] * 5
    before, after = taught(*steady).line, taught(*steady, (4, 9.0)).line
    assert after.at(1) == pytest.approx(before.at(1))
    assert after.at(4) == pytest.approx(before.at(4))


def test_a_machine_that_becomes_slower_is_followed() -> None:
    learned = taught(*[(1, 0.020), (8, 0.090)] * 9, *[(1, 0.040), (8, 0.180)] * 9)
    assert learned.expected_s(8) == pytest.approx(0.180)
    assert learned.expected_s(1) == pytest.approx(0.040)


def test_sizes_not_seen_for_long_lose_their_weight() -> None:
    """Three sizes cannot all lie on the line: it stays near those that are seen now."""
    learned = taught(*[(16, 0.001)] * 9, *[(1, 0.020), (4, 0.050)] * 400)
    assert learned.expected_s(4) == pytest.approx(0.050, rel=0.02)


def test_the_margin_is_what_nine_batches_in_ten_stay_within() -> None:
    learned = taught(*[(1, 0.020), (1, 0.020), (1, 0.020), (1, 0.026), (4, 0.050)] * 20)
    assert learned.margin_fraction == pytest.approx(0.3)
    assert learned.cautious_s(1) == pytest.approx(0.026)


@given(st.lists(st.tuples(st.integers(1, 64), st.floats(1e-6, 100.0)), min_size=1, max_size=60))
def test_the_line_is_never_negative_and_never_falls_with_size(
    batches: list[tuple[int, float]],
) -> None:
    learned = taught(*batches)
    assert learned.line.fixed_s >= -1e-9
    assert learned.line.per_item_s >= 0
    assert learned.expected_s(1) > 0
