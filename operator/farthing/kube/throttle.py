"""How fast the operator may write: a burst, then a steady rate."""

from __future__ import annotations

import time
from collections.abc import Callable


class TokenBucket:
    """Holds up to `burst` writes and gains `per_second`; what finds it empty waits a tick."""

    def __init__(
        self, *, burst: float, per_second: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._burst, self._per_second, self._clock = burst, per_second, clock
        self._tokens, self._filled_at = burst, clock()

    def take(self) -> bool:
        """Take one write if there is one."""
        now = self._clock()
        gained = (now - self._filled_at) * self._per_second
        self._tokens, self._filled_at = min(self._burst, self._tokens + gained), now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class Backoff:
    """When something that was refused may be tried again: later each time, up to five minutes."""

    def __init__(
        self,
        *,
        first_s: float = 5.0,
        longest_s: float = 300.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._first_s, self._longest_s, self._clock = first_s, longest_s, clock
        self._failures: dict[str, tuple[int, float]] = {}

    def allows(self, key: str) -> bool:
        return self._clock() >= self._failures.get(key, (0, 0.0))[1]

    def failed(self, key: str) -> None:
        count = self._failures.get(key, (0, 0.0))[0]
        wait_s = min(self._longest_s, self._first_s * 2.0 ** min(count, 16))
        self._failures[key] = (count + 1, self._clock() + wait_s)

    def succeeded(self, key: str) -> None:
        self._failures.pop(key, None)
