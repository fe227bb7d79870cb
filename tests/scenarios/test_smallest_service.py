"""Model, SLO and budget only: it starts in the cheapest pool, learns what a replica serves, and then knows."""

from __future__ import annotations

from typing import Any

import pytest
from tests.builders import (
    AT,
    FP32,
    ON_DEMAND,
    SENTIMENT,
    SPOT,
    after,
    decide,
    observation,
    on_demand,
    reading,
    running,
    spot,
    targets,
    workload,
)

from farthing.core.domain import BatchSample, LatencyCounts, Provenance
from farthing.core.state import PlannerState

LATE = LatencyCounts(bounds_s=(0.1, 0.25, 1.0), counts=(980.0, 0.0, 20.0, 0.0))
POOLS = (spot(), on_demand())
BATCHES = (
    (
        FP32,
        "NVIDIA-L4",
        # 10 ms and 10 ms per item
        (
            BatchSample(size=1, batches=50.0, seconds=1.0),
            BatchSample(size=9, batches=50.0, seconds=5.0),
        ),
    ),
)


def smallest(**changes: Any):
    defaults = {
        "workloads": (workload(pools=(SPOT, ON_DEMAND)),),
        "pools": POOLS,
        "profiles": (),
    }
    return observation(**defaults | changes)


def test_it_starts_in_the_cheapest_pool() -> None:
    assert decide(smallest()).plan.targets == targets(spot=1)


@pytest.mark.parametrize(
    "pressed", [{"latency": LATE}, {"queued": 30.0}, {"latency": LATE, "queued": 900.0}]
)
def test_it_grows_one_at_a_time_under_pressure(pressed: dict[str, Any]) -> None:
    seen = smallest(readings=(reading(100, **pressed),), **running(spot=1))
    step = decide(seen)
    assert step.plan.targets == targets(spot=2)
    # The second is still starting: nothing more is asked for until it serves.
    again = smallest(
        at=after(5),
        readings=(reading(100, ends_at=after(5), **pressed),),
        **running(spot=1) | {"targets": targets(spot=2)},
    )
    assert decide(again, step.state).plan.targets == targets(spot=2)
    ready = smallest(
        at=after(60), readings=(reading(100, ends_at=after(60), **pressed),), **running(spot=2)
    )
    assert decide(ready, step.state).plan.targets == targets(spot=3)


def test_it_stays_where_it_is_without_pressure() -> None:
    assert decide(smallest(readings=(reading(100),), **running(spot=3))).plan.targets == targets(
        spot=3
    )


def test_it_grows_no_further_than_the_maximum() -> None:
    full = workload(pools=(SPOT, ON_DEMAND), max_replicas=2)
    seen = smallest(workloads=(full,), readings=(reading(100, latency=LATE),), **running(spot=2))
    assert decide(seen).plan.targets == targets(spot=2)


def test_it_uses_what_it_learned() -> None:
    # 250 requests/s (258.2) are four replicas of 74.8, at once.
    seen = smallest(readings=(reading(250, batches=BATCHES),), **running(spot=1))
    step = decide(seen)
    assert step.plan.targets == targets(spot=4)
    (learned,) = step.state.learned_profiles
    assert (learned.workload, learned.provenance) == (SENTIMENT, Provenance.LEARNED)
    assert (learned.base_s, learned.per_item_s) == pytest.approx((0.01, 0.01))
    assert {e.provenance for e in step.beliefs.service} == {Provenance.LEARNED}


def test_hardware_it_never_ran_on_is_believed_to_be_half_as_fast() -> None:
    # Learned on an L4 for 0.284 (spot, full at one); the cheaper of two unknown places would be the CPU at 0.10, where
    # 37.4 each are believed: 53.7 take two of them, and so does every replica that shares with one.
    pools = (spot(maximum_slots=1), on_demand(hardware="cpu", price="0.10"))
    seen = smallest(pools=pools, readings=(reading(100, batches=BATCHES),), **running(spot=1))
    # 105.2 / 37.4 = 2.8: three, the one that runs is dearer (0.32) than a CPU (0.105): it stays until they are ready.
    assert decide(seen).plan.targets == targets(spot=1, on_demand=3)


def test_what_was_learned_survives_a_reading_without_batches() -> None:
    first = decide(smallest(readings=(reading(250, batches=BATCHES),), **running(spot=1)))
    quiet = smallest(at=after(5), readings=(reading(250, ends_at=after(5)),), **running(spot=4))
    assert decide(quiet, first.state).plan.targets == targets(spot=4)
    assert decide(quiet, PlannerState(first_tick_at=AT)).plan.targets == targets(spot=4)
