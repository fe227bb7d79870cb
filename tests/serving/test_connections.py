"""Connections end in time, so that new replicas get their share."""

from __future__ import annotations

from farthing_server.connections import ConnectionAges


def test_a_connection_is_closed_once_it_has_served_its_time_and_then_counts_anew() -> None:
    ages = ConnectionAges(20.0)
    client = ("127.0.0.1", 40_000)  # 40000 % 64 = 0: 75 % of the age, 15 s
    assert [ages.is_due(client, now_s) for now_s in (0.0, 14.9, 15.0, 15.1, 30.0, 30.1)] == [
        False,
        False,
        True,
        False,
        False,
        True,
    ]


def test_clients_that_came_together_do_not_leave_together() -> None:
    ages = ConnectionAges(20.0)
    clients = [("127.0.0.1", 40_000 + offset) for offset in range(64)]
    for client in clients:
        ages.is_due(client, 0.0)
    due_at_20_s = sum(ages.is_due(client, 20.0) for client in clients)
    assert due_at_20_s == 33  # ports with 0.75 + k/128 <= 1: k from 0 to 32


def test_an_age_of_zero_keeps_connections_and_nothing_is_remembered() -> None:
    ages = ConnectionAges(0.0)
    assert not any(ages.is_due(("127.0.0.1", 1), float(now_s)) for now_s in range(1000))


def test_clients_that_went_away_are_forgotten() -> None:
    ages = ConnectionAges(20.0)
    for port in range(1, 1000):
        ages.is_due(("127.0.0.1", port), 0.0)
    ages.is_due(("127.0.0.1", 5000), 100.0)
    assert ages.is_due(("127.0.0.1", 1), 100.0) is False
    assert len(ages._opened_s) == 2
