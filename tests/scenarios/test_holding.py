"""Not knowing is not zero: without measurements nothing moves, and a lost memory only makes the planner careful."""

from __future__ import annotations

import pytest
from tests.builders import (
    AT,
    SENTIMENT,
    after,
    capped,
    decide,
    observation,
    reading,
    replicas,
    running,
    target,
    targets,
    workload,
)

from farthing.core.domain import Gap, InputAge, ReasonCode
from farthing.core.state import PlannerState

GAP = Gap(subject=str(SENTIMENT), missing="load", since=AT, because="no pod answered for 10 s")


@pytest.mark.parametrize("counts", [{"reserved": 1}, {"reserved": 2, "spot": 6}])
def test_a_gap_holds_in_both_directions(counts: dict[str, int]) -> None:
    step = decide(observation(gaps=(GAP,), **running(**counts)))
    assert step.plan.targets == targets(**counts)
    (decision,) = step.plan.decisions
    assert (decision.reason, decision.binding) == (ReasonCode.HELD_ON_GAP, ReasonCode.HELD_ON_GAP)
    assert decision.message == (
        f"held at {sum(counts.values())}: load since 12:00:00: no pod answered for 10 s"
    )
    assert decision.inputs == (InputAge(name="load", age_s=None, gap="no pod answered for 10 s"),)


def test_an_old_reading_holds_like_none() -> None:
    old = reading(400, ends_at=after(-11))
    step = decide(observation(readings=(old,), **running(reserved=1)))
    assert step.plan.targets == targets(reserved=1)


def test_scaling_goes_on_by_itself_when_measurements_return() -> None:
    held = decide(observation(**running(reserved=1)))
    again = observation(at=after(1), readings=(reading(400, ends_at=after(1)),))
    back = decide(
        observation(at=after(1), readings=again.readings, **running(reserved=1)),
        held.state,
    )
    assert back.plan.targets == targets(reserved=2, spot=4)


def test_a_gap_makes_the_wait_before_scaling_in_begin_anew() -> None:
    state = PlannerState()
    counts = {"reserved": 2, "spot": 3}
    for second in range(0, 170, 10):
        seen = observation(
            at=after(second), readings=(reading(10, ends_at=after(second)),), **running(**counts)
        )
        step = decide(seen, state)
        state = step.state
    state = decide(observation(at=after(175), **running(**counts)), state).state
    for second, plan in ((180, targets(reserved=2, spot=3)), (365, targets(reserved=1, spot=0))):
        seen = observation(
            at=after(second), readings=(reading(10, ends_at=after(second)),), **running(**counts)
        )
        step = decide(seen, state)
        state = step.state
        assert step.plan.targets == plan


@pytest.mark.parametrize("second", [0, 1, 30, 59, 120, 179])
def test_a_restart_scales_nothing_in_within_the_retention_time(second: int) -> None:
    counts = {"reserved": 2, "spot": 3}
    first = decide(observation(readings=(reading(10),), **running(**counts)))
    at = after(second)
    seen = observation(at=at, readings=(reading(10, ends_at=at),), **running(**counts))
    step = decide(seen, first.state)
    assert step.plan.targets == targets(**counts)


def test_a_paused_service_is_left_alone() -> None:
    paused = workload(paused=True)
    step = decide(observation(workloads=(paused,), readings=(reading(900),), **running(reserved=1)))
    assert step.plan.targets == targets(reserved=1)
    (decision,) = step.plan.decisions
    assert (decision.reason, decision.message, decision.reverses_when) == (
        ReasonCode.PAUSED,
        "left at 1: paused",
        "spec.paused is false",
    )


def test_the_minimum_is_asked_for_before_anything_can_be_measured() -> None:
    step = decide(observation(workloads=(workload(min_replicas=3),)))
    assert step.plan.targets == targets(reserved=2, spot=1)
    (decision,) = step.plan.decisions
    assert decision.message == "3 replicas; nothing was measured yet"


def test_a_limit_of_money_stays_a_limit_while_holding() -> None:
    # Ten ran for an hour: 2.84 of 10.00 are spent. 7.16 × 3 / 12 h = 1.79 per hour pays for six at 0.284, not for ten.
    seen = observation(workloads=(workload(budget=capped("10.00")),), **running(spot=10))
    assert decide(seen).plan.targets == targets(spot=6)


def test_what_is_held_keeps_its_slots_whatever_others_ask_for() -> None:
    other = SENTIMENT.__class__(namespace="shop", name="vip")
    rich = workload(id=other, priority=1000)
    seen = observation(
        workloads=(workload(), rich),
        replicas=replicas(2, target(0).pool.__class__("reserved")),
        targets=targets(reserved=2),
    )
    # The reserved slots would be cheapest for the new one, but the other holds both of them.
    assert decide(seen).plan.targets == (
        *targets(reserved=2),
        target(1, workload=other),
    )


def test_an_outside_autoscaler_sets_the_count_and_the_planner_the_places() -> None:
    outside = workload(external_replicas=5, min_replicas=1, max_replicas=3)
    seen = observation(workloads=(outside,), readings=(reading(1),), **running(reserved=1))
    step = decide(seen)
    assert step.plan.targets == targets(reserved=2, spot=3)
    assert step.plan.decisions[0].reason is ReasonCode.EXTERNAL
