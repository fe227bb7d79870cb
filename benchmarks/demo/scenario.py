"""What the demo asks of the services and when: phases as values, arrivals drawn from them.

Two cores carry everything, the emulated GPUs included, so rates are bounded.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass

NAMESPACE = "demo"
EMBEDDER, CHAT = "embedder", "chat"
# What two cores serve besides the control plane, measured: more would test the machine instead.
MAXIMUM_RPS: Mapping[str, float] = {EMBEDDER: 15.0, CHAT: 120.0}
NOTICE_S = 30.0
REPLACED_AFTER_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ramp:
    """A rate that goes in a straight line from one value to another."""

    start_rps: float
    end_rps: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A stretch of time with a rate for each service; some begin with a spot node's notice."""

    name: str
    duration_s: float
    rates: Mapping[str, Ramp]
    interrupts_spot: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """Where in the scenario an instant lies."""

    phase: Phase
    left_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    phases: tuple[Phase, ...]
    seed: int

    @property
    def duration_s(self) -> float:
        return sum(phase.duration_s for phase in self.phases)

    def at(self, since_start_s: float) -> Moment:
        """The phase of an instant; after the end, the last one with no time left."""
        rest_s = max(0.0, since_start_s)
        for phase in self.phases:
            if rest_s < phase.duration_s:
                return Moment(phase=phase, left_s=phase.duration_s - rest_s)
            rest_s -= phase.duration_s
        return Moment(phase=self.phases[-1], left_s=0.0)

    def starts_s(self) -> tuple[tuple[float, Phase], ...]:
        """Every phase with the instant of its start."""
        starts, start_s = [], 0.0
        for phase in self.phases:
            starts.append((start_s, phase))
            start_s += phase.duration_s
        return tuple(starts)


def arrivals_s(scenario: Scenario, service: str) -> tuple[float, ...]:
    """Instants of a Poisson process whose rate follows the phases; the same for the same seed.

    Drawn by thinning: candidates come at the highest rate of a phase and each stays with the
    probability (rate now) / (highest rate).
    """
    draw = random.Random(f"{scenario.seed}/{service}")
    found: list[float] = []
    for start_s, phase in scenario.starts_s():
        ramp = phase.rates[service]
        highest_rps = max(ramp.start_rps, ramp.end_rps)
        if highest_rps <= 0:
            continue
        at_s = 0.0
        while (at_s := at_s + draw.expovariate(highest_rps)) < phase.duration_s:
            share = at_s / phase.duration_s
            rate_rps = ramp.start_rps + share * (ramp.end_rps - ramp.start_rps)
            if draw.random() * highest_rps < rate_rps:
                found.append(start_s + at_s)
    return tuple(found)


def expected_requests(scenario: Scenario, service: str) -> int:
    """The mean number of arrivals: the area under the rate, rounded up."""
    return math.ceil(
        sum(
            phase.duration_s * (phase.rates[service].start_rps + phase.rates[service].end_rps) / 2
            for phase in scenario.phases
        )
    )


def _phase(
    name: str,
    duration_s: float,
    *,
    chat: tuple[float, float],
    embedder: tuple[float, float],
    interrupts_spot: bool = False,
) -> Phase:
    return Phase(
        name=name,
        duration_s=duration_s,
        rates={
            CHAT: Ramp(start_rps=chat[0], end_rps=chat[1]),
            EMBEDDER: Ramp(start_rps=embedder[0], end_rps=embedder[1]),
        },
        interrupts_spot=interrupts_spot,
    )


DEMO = Scenario(
    seed=20261125,
    phases=(
        _phase("steady", 25, chat=(25, 25), embedder=(3, 3)),
        _phase("rise", 40, chat=(25, 70), embedder=(3, 10)),
        _phase("burst", 20, chat=(100, 100), embedder=(14, 14)),
        _phase("interruption", 40, chat=(75, 75), embedder=(8, 8), interrupts_spot=True),
        _phase("fall", 80, chat=(20, 20), embedder=(3, 3)),
    ),
)
