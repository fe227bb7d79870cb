"""Free ports of 127.0.0.1, so that clusters can run side by side."""

from __future__ import annotations

import contextlib
import socket


def free_ports(count: int) -> tuple[int, ...]:
    """Different ports that were free a moment ago.

    Another program may take one before its component does; `cluster.up` then starts over.
    """
    with contextlib.ExitStack() as held:
        return tuple(
            held.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1]
            for _ in range(count)
        )
