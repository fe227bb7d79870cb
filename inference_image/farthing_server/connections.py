"""How long a client's connection is kept, so that new replicas get their share.

A Service chooses a replica when a connection is opened and never again: clients that keep their connections busy would
stay with the replicas of yesterday. So a connection that has served its time is closed with its next answer, and the
client opens another, which meets a replica chosen anew.
"""

from __future__ import annotations

from collections.abc import Hashable


class ConnectionAges:
    """Tells which connections are due. Time is an argument; `maximum_age_s` 0 keeps connections for ever."""

    def __init__(self, maximum_age_s: float) -> None:
        self._maximum_age_s = maximum_age_s
        self._opened_s: dict[Hashable, float] = {}
        self._swept_s = 0.0

    def is_due(self, client: tuple[str, int] | None, now_s: float) -> bool:
        """Whether the connection from `client` should end with this answer; it is forgotten then."""
        if self._maximum_age_s <= 0 or client is None:
            return False
        self._sweep(now_s)
        opened_s = self._opened_s.setdefault(client, now_s)
        # Clients that came together do not have to leave together: 75 % to 125 % of the age, by the client's port.
        allowed_s = self._maximum_age_s * (0.75 + client[1] % 64 / 128)
        if now_s - opened_s < allowed_s:
            return False
        del self._opened_s[client]
        return True

    def _sweep(self, now_s: float) -> None:
        """Forget clients that went away by themselves: none lives longer than twice the age."""
        if now_s - self._swept_s < self._maximum_age_s:
            return
        self._swept_s = now_s
        limit_s = now_s - 2 * self._maximum_age_s
        self._opened_s = {client: s for client, s in self._opened_s.items() if s > limit_s}
