"""What is asked of the services stays within what two cores can carry."""

from __future__ import annotations

import itertools

import pytest
from benchmarks.demo import scenario
from benchmarks.demo.scenario import CHAT, DEMO, EMBEDDER, Moment, Phase, Ramp, Scenario


def one_phase(start_rps: float, end_rps: float, duration_s: float) -> Scenario:
    ramp = Ramp(start_rps=start_rps, end_rps=end_rps)
    return Scenario(seed=1, phases=(Phase(name="x", duration_s=duration_s, rates={CHAT: ramp}),))


def test_the_demo_asks_no_more_than_two_cores_serve_and_ends_in_time() -> None:
    assert DEMO.duration_s <= 215
    for phase in DEMO.phases:
        for service in (CHAT, EMBEDDER):
            ramp = phase.rates[service]
            assert min(ramp.start_rps, ramp.end_rps) > 0
            assert max(ramp.start_rps, ramp.end_rps) <= scenario.MAXIMUM_RPS[service]


def test_the_notice_and_the_loss_of_the_spot_node_fall_into_one_phase() -> None:
    interrupting = [phase for phase in DEMO.phases if phase.interrupts_spot]

    assert [phase.name for phase in interrupting] == ["interruption"]
    assert interrupting[0].duration_s > scenario.NOTICE_S


@pytest.mark.parametrize("service", [CHAT, EMBEDDER])
def test_arrivals_are_ordered_within_the_time_and_near_their_expected_number(
    service: str,
) -> None:
    arrivals = scenario.arrivals_s(DEMO, service)
    expected = scenario.expected_requests(DEMO, service)

    assert all(one < other for one, other in itertools.pairwise(arrivals))
    assert arrivals[0] >= 0
    assert arrivals[-1] < DEMO.duration_s
    # A Poisson count of mean m has the standard deviation √m.
    assert abs(len(arrivals) - expected) < 4 * expected**0.5


def test_the_same_seed_gives_the_same_arrivals() -> None:
    assert scenario.arrivals_s(DEMO, CHAT) == scenario.arrivals_s(DEMO, CHAT)


def test_a_rise_brings_three_quarters_of_its_requests_in_its_second_half() -> None:
    # From 0 to 40/s in 100 s: 2,000 requests, 1,500 of them after 50 s.
    arrivals = scenario.arrivals_s(one_phase(0, 40, 100), CHAT)

    late = sum(at_s >= 50 for at_s in arrivals)
    assert late / len(arrivals) == pytest.approx(0.75, abs=0.04)


def test_a_phase_without_requests_has_none() -> None:
    assert scenario.arrivals_s(one_phase(0, 0, 100), CHAT) == ()


def test_every_instant_has_its_phase() -> None:
    first, last = DEMO.phases[0], DEMO.phases[-1]

    assert DEMO.at(-1) == Moment(phase=first, left_s=first.duration_s)
    assert DEMO.at(first.duration_s - 1) == Moment(phase=first, left_s=1)
    assert DEMO.at(first.duration_s) == Moment(
        phase=DEMO.phases[1], left_s=DEMO.phases[1].duration_s
    )
    assert DEMO.at(DEMO.duration_s) == Moment(phase=last, left_s=0)
