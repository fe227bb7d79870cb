"""Ports are free and differ."""

from __future__ import annotations

import socket

from farthing_local import ports


def test_ports_differ_and_can_be_listened_on() -> None:
    chosen = ports.free_ports(20)
    assert len(set(chosen)) == 20
    for port in chosen:
        socket.create_server(("127.0.0.1", port)).close()
