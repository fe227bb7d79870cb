"""Pods, statuses and pools as the API gives them, read as values."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from benchmarks.demo import bill, play, watch
from benchmarks.demo.watch import Phase

AT = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


def pod(name: str = "chat-1", *, node: str | None = "l4-spot-0", **status: Any) -> dict[str, Any]:
    scheduled = {
        "type": "PodScheduled",
        "status": "True" if node else "False",
        "lastTransitionTime": "2026-11-25T12:00:00Z",
    }
    conditions = [scheduled, *status.pop("conditions", [])]
    return {
        "metadata": {
            "uid": name,
            "creationTimestamp": "2026-11-25T11:59:00Z",
            "labels": {"farthing.dev/service": "chat", "farthing.dev/pool": "l4-spot"},
        },
        "spec": {"nodeName": node} if node else {},
        "status": {"podIP": "127.214.1.7", **status, "conditions": conditions},
    }


def seen(phase: Phase, **changes: Any) -> watch.Replica:
    values: dict[str, Any] = {
        "uid": "chat-1",
        "service": "chat",
        "pool": "l4-spot",
        "node": "l4-spot-0",
        "address": "127.214.1.7",
        "phase": phase,
        "scheduled_at": AT,
        "on_notice": False,
    }
    return watch.Replica(**{**values, **changes})


READY = {"type": "Ready", "status": "True"}


def test_a_pod_starts_is_ready_and_leaves() -> None:
    leaving = pod(conditions=[READY])
    leaving["metadata"]["deletionTimestamp"] = "2026-11-25T12:05:00Z"

    assert watch.replica(pod(), set()) == seen(Phase.STARTING)
    assert watch.replica(pod(conditions=[READY]), set()) == seen(Phase.READY)
    assert watch.replica(leaving, set()) == seen(Phase.LEAVING)


def test_a_pod_without_a_node_costs_nothing_yet() -> None:
    waiting = watch.replica(pod(node=None), set())

    assert waiting == seen(Phase.PENDING, node=None, scheduled_at=None)


def test_a_pod_that_ended_is_no_replica_any_more() -> None:
    assert watch.replica(pod(phase="Failed"), set()) is None
    assert watch.replica(pod(phase="Succeeded"), set()) is None


def test_a_pod_on_a_node_with_a_notice_is_marked() -> None:
    assert watch.replica(pod(), {"l4-spot-0"}) == seen(Phase.STARTING, on_notice=True)


def test_a_life_lasts_from_the_node_to_the_first_look_without_it() -> None:
    lives = watch.Lifetimes()

    lives.note([seen(Phase.PENDING, scheduled_at=None), seen(Phase.READY, uid="2")], AT)
    lives.note([seen(Phase.READY)], AT + timedelta(seconds=5))
    lives.note([seen(Phase.READY)], AT + timedelta(seconds=9))

    ended = bill.Lifetime(service="chat", pool="l4-spot", start=AT, end=AT + timedelta(seconds=5))
    running = bill.Lifetime(service="chat", pool="l4-spot", start=AT, end=None)
    assert lives.all() == (ended, running)


def test_a_status_is_read_whole() -> None:
    document = {
        "metadata": {"name": "chat"},
        "status": {
            "decision": {"id": "d-1", "chosen": "l4-spot 2", "message": "2 replicas for 50"},
            "spend": {
                "periodStart": "2026-11-25T00:00:00Z",
                "chargedUntil": "2026-11-25T12:00:00Z",
                "amount": "0.25",
            },
        },
    }

    assert watch.service_status(document) == watch.ServiceStatus(
        service="chat",
        chosen="l4-spot 2",
        decision="l4-spot 2: 2 replicas for 50",
        spend=watch.Spend(
            since=datetime(2026, 11, 25, tzinfo=UTC), until=AT, amount=Decimal("0.25")
        ),
    )


def test_a_service_that_the_operator_has_not_seen_has_no_status() -> None:
    assert watch.service_status({"metadata": {"name": "chat"}}) == watch.ServiceStatus(
        service="chat", chosen=None, decision=None, spend=None
    )


def test_a_pool_is_a_price_of_its_hardware() -> None:
    spec: dict[str, Any] = {
        "capacityType": "Reserved",
        "slot": {"cpu": "8", "memory": "32Gi", "accelerator": {"model": "NVIDIA-L4"}},
        "price": {"perSlotHour": "0.45"},
        "capacity": {"committedSlots": 2},
    }
    cpu = {**spec, "capacityType": "OnDemand", "slot": {"cpu": "2"}, "capacity": {}}

    assert watch.price({"metadata": {"name": "a"}, "spec": spec}) == bill.Price(
        pool="a",
        capacity_type="Reserved",
        hardware="NVIDIA-L4",
        per_slot_hour=Decimal("0.45"),
        committed_slots=2,
    )
    assert watch.price({"metadata": {"name": "b"}, "spec": cpu}) == bill.Price(
        pool="b", capacity_type="OnDemand", hardware="cpu", per_slot_hour=Decimal("0.45")
    )


def test_a_queue_is_read_from_metrics_and_unknown_without_them() -> None:
    text = "# TYPE farthing_requests_queued gauge\nfarthing_requests_queued 3.0\n"

    assert watch.queued_of(text) == 3
    assert watch.queued_of("other 1\n") is None


def test_the_spot_node_with_most_replicas_is_interrupted() -> None:
    prices = [
        bill.Price(pool=pool, capacity_type=kind, hardware="x", per_slot_hour=Decimal(1))
        for pool, kind in (("l4-spot", "Spot"), ("l4-reserved", "Reserved"))
    ]
    replicas = [
        seen(Phase.READY, pool="l4-reserved", node="l4-reserved-0"),
        seen(Phase.READY, pool="l4-reserved", node="l4-reserved-0"),
        seen(Phase.READY, node="l4-spot-0"),
        seen(Phase.READY, node="l4-spot-1"),
        seen(Phase.READY, node="l4-spot-1"),
        seen(Phase.STARTING, node="l4-spot-0"),
    ]

    assert play.spot_node(replicas, prices) == "l4-spot-1"
    assert play.spot_node(replicas[:2], prices) is None
