"""How long to wait before a container is started or its image is asked for once more."""

from __future__ import annotations

from dataclasses import dataclass, replace

FIRST_S = 1.0
LONGEST_S = 60.0
# A container that ran this long is taken to be healthy again: the next wait is the first one.
FORGIVEN_AFTER_S = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BackOff:
    """Waits of 1, 2, 4, ... 60 seconds; a value, so that each step returns the next one."""

    failures: int = 0

    @property
    def wait_s(self) -> float:
        """The wait after this many failures; 1 after the first."""
        return min(LONGEST_S, FIRST_S * 2.0 ** (max(self.failures, 1) - 1))

    def after_failure(self, *, ran_s: float = 0.0) -> BackOff:
        failures = 1 if ran_s >= FORGIVEN_AFTER_S else self.failures + 1
        return replace(self, failures=min(failures, 32))
