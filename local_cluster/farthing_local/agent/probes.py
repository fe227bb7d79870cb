"""When a probe's single answers add up to a verdict.

Pure: `probing` asks the questions. A readiness probe starts out failed, a liveness probe passed,
a startup probe undecided; after that a verdict changes once enough answers in a row agree.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from farthing_local.agent.documents import Json


class ProbeKind(StrEnum):
    STARTUP = "startup"
    READINESS = "readiness"
    LIVENESS = "liveness"


class Verdict(StrEnum):
    PASSED = "Passed"
    FAILED = "Failed"
    UNDECIDED = "Undecided"


_INITIAL = {
    ProbeKind.STARTUP: Verdict.UNDECIDED,
    ProbeKind.READINESS: Verdict.FAILED,
    ProbeKind.LIVENESS: Verdict.PASSED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeTiming:
    """The numbers of a probe, with the defaults that the API server would fill in."""

    initial_delay_s: float = 0.0
    period_s: float = 10.0
    timeout_s: float = 1.0
    success_threshold: int = 1
    failure_threshold: int = 3

    @classmethod
    def of(cls, probe: Json) -> ProbeTiming:
        return cls(
            initial_delay_s=float(probe.get("initialDelaySeconds") or 0),
            period_s=float(probe.get("periodSeconds") or 10),
            timeout_s=float(probe.get("timeoutSeconds") or 1),
            success_threshold=int(probe.get("successThreshold") or 1),
            failure_threshold=int(probe.get("failureThreshold") or 3),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeState:
    """The verdict so far, and how many answers in a row were like the last one."""

    verdict: Verdict
    last_passed: bool | None = None
    in_a_row: int = 0

    @classmethod
    def initial(cls, kind: ProbeKind) -> ProbeState:
        return cls(verdict=_INITIAL[kind])

    def after(self, passed: bool, timing: ProbeTiming) -> ProbeState:
        in_a_row = self.in_a_row + 1 if passed is self.last_passed else 1
        enough = timing.success_threshold if passed else timing.failure_threshold
        verdict = self.verdict
        if in_a_row >= enough:
            verdict = Verdict.PASSED if passed else Verdict.FAILED
        return ProbeState(verdict=verdict, last_passed=passed, in_a_row=in_a_row)
