"""Statuses: true, complete, and quiet."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from tests.kube import objects
from tests.kube.objects import AT, SENTIMENT, Document

from farthing.core import planner
from farthing.core.policy import Policy
from farthing.core.state import PlannerState
from farthing.kube import budget_status, capacity_seen, conditions, memory, status, translate
from farthing.kube.desired import Problem
from farthing.kube.status import Tick
from farthing.kube.worth_writing import is_worth_writing

RESOURCES = (
    objects.service(),
    objects.pool(),
    objects.runtime(),
    objects.profile(),
    objects.budget(),
)


def tick(problems: Any = (), state: PlannerState | None = None, **facts: Any) -> Tick:
    found = objects.found(*RESOURCES)
    namespaces = {"shop": {"metadata": {"name": "shop"}}}
    observation = translate.observation(found, objects.facts(namespaces=namespaces, **facts), AT)
    step = planner.step(observation, Policy(), state or PlannerState())
    return Tick(observation, step, {SENTIMENT: tuple(problems)})


def of(found: Tick, before: Document | None = None) -> Document:
    return status.of_service(objects.decoded(objects.service()), before or {}, found)


def aspects(document: Document) -> dict[str, tuple[str, str]]:
    return {one["type"]: (one["status"], one["reason"]) for one in document["conditions"]}


def test_a_new_service_has_every_condition_and_says_unknown_in_words() -> None:
    document = of(tick())
    assert aspects(document) == {
        "Ready": ("False", "NoReplicas"),
        "Reconciling": ("True", "ReplicasChanging"),
        "Stalled": ("False", "Progressing"),
        "SLOAttained": ("Unknown", "NoMeasurements"),
        "WithinBudget": ("True", "WithinBudget"),
        "CapacityAvailable": ("True", "Available"),
        "MetricsAvailable": ("Unknown", "NothingToMeasure"),
        "ScalingEffective": ("True", "Effective"),
    }
    measured = ("costPerThousandRequests", "latencyMilliseconds", "queueLength")
    assert [document[name] for name in measured] == ["unknown"] * 3
    assert document["observedGeneration"] == 1
    assert document["selector"] == "farthing.dev/service=sentiment"


def test_a_ready_replica_makes_the_service_ready_and_costs_money() -> None:
    document = of(tick(pods={"shop/sentiment-1": objects.pod()}))
    assert aspects(document)["Ready"] == ("True", "Serving")
    # One L4 at 0.284 per hour for the 110 s since it got its node: 0.284 * 110 / 3600.
    assert document["spend"]["amount"] == "0.008677778"
    assert document["placements"] == [
        {"variant": "default", "pool": "spot", "capacityType": "Spot", "target": 1, "ready": 1}
    ]


def test_a_problem_stalls_the_service_and_says_what_to_do() -> None:
    document = of(tick([Problem("Contested", "Service shop/sentiment exists")]))
    assert aspects(document)["Stalled"] == ("True", "Contested")
    assert aspects(document)["Reconciling"] == ("False", "Stalled")


def test_the_time_of_a_condition_moves_only_when_its_status_flips() -> None:
    first = conditions.dated([conditions.Aspect("Ready", False, "NoReplicas")], {}, 1, AT)
    later = AT + timedelta(minutes=1)
    same = conditions.Aspect("Ready", False, "ReplicasStarting")
    (kept,) = conditions.dated([same], {"conditions": first}, 1, later)
    assert (kept["lastTransitionTime"], kept["reason"]) == (
        "2026-11-25T12:00:00Z",
        "ReplicasStarting",
    )
    (moved,) = conditions.dated(
        [conditions.Aspect("Ready", True, "Serving")], {"conditions": first}, 1, later
    )
    assert moved["lastTransitionTime"] == "2026-11-25T12:01:00Z"


def test_an_object_that_cannot_be_read_keeps_its_spend_and_is_stalled() -> None:
    document = objects.service() | {"status": {"spend": {"amount": "1"}, "conditions": []}}
    told = status.invalid(document, "spec.slo: missing", AT)
    assert told["spend"] == {"amount": "1"}
    assert aspects(told) == {
        "Ready": ("Unknown", "InvalidSpec"),
        "Stalled": ("True", "InvalidSpec"),
    }


BEFORE = {
    "observedGeneration": 1,
    "replicas": 2,
    "costPerHour": "1.00",
    "queueLength": "unknown",
    "spend": {
        "periodStart": "2026-11-25T00:00:00Z",
        "amount": "1.00",
        "forecast": "5",
        "budget": "12.00",
    },
    "conditions": [{"type": "Ready", "status": "True", "reason": "Serving", "message": "1"}],
    "decision": {"id": "d-1", "message": "for 10.0 requests/s"},
}


@pytest.mark.parametrize(
    ("change", "since_s", "is_written"),
    [
        ({}, 1e9, False),
        ({"replicas": 3}, 0.0, True),
        ({"observedGeneration": 2}, 0.0, True),
        ({"decision": {"id": "d-2"}}, 0.0, True),
        ({"decision": {"id": "d-1", "message": "for 11.2 requests/s"}}, 1e9, False),
        (
            {
                "conditions": [
                    {"type": "Ready", "status": "True", "reason": "Serving", "message": "2"}
                ]
            },
            1e9,
            False,
        ),
        ({"conditions": [{"type": "Ready", "status": "False", "reason": "NoReplicas"}]}, 0.0, True),
        ({"costPerHour": "1.04"}, 1e9, False),
        ({"costPerHour": "1.06"}, 29.0, False),
        ({"costPerHour": "1.06"}, 30.0, True),
        ({"queueLength": "0"}, 30.0, True),
        ({"spend": BEFORE["spend"] | {"amount": "1.12"}}, 1e9, False),
        # More than a hundredth of the budget of 12.00.
        ({"spend": BEFORE["spend"] | {"amount": "1.13"}}, 30.0, True),
        ({"spend": BEFORE["spend"] | {"amount": "1.13"}}, 29.0, False),
    ],
)
def test_a_status_is_written_when_somebody_may_wait_for_it(
    change: Document, since_s: float, is_written: bool
) -> None:
    assert is_worth_writing(BEFORE, BEFORE | change, since_s) is is_written


def test_a_pool_counts_what_is_used_and_what_its_ready_nodes_hold() -> None:
    pool = objects.decoded(objects.pool())
    notice = {"key": "farthing.dev/interrupted"}
    nodes = [
        objects.node(),
        objects.node("spot-1", taints=(notice,)),
        objects.node("spot-2", ready="False"),
    ]
    assert capacity_seen.ready_slots(pool, nodes) == 2
    document = status.of_pool(pool, {}, tick(pods={"shop/sentiment-1": objects.pod()}), 2)
    assert (document["usedSlots"], document["readySlots"], document["idleCostPerHour"]) == (
        1,
        2,
        "0",
    )


def test_a_cluster_budget_says_who_spent_it() -> None:
    found = tick(pods={"shop/sentiment-1": objects.pod()})
    document = budget_status.of_budget(objects.decoded(objects.budget()), {}, found)
    assert document["spend"]["byNamespace"] == [{"namespace": "shop", "amount": "0.008677778"}]
    assert aspects(document) == {
        "Ready": ("True", "Accounted"),
        "WithinBudget": ("True", "WithinBudget"),
    }


def test_spend_and_the_last_decision_survive_a_restart() -> None:
    first = tick(pods={"shop/sentiment-1": objects.pod()})
    told = objects.service() | {"status": of(first)}
    restored = memory.restored(objects.found(told))
    (mark,) = first.step.state.decided
    assert restored.decided == (dataclasses.replace(mark, options=()),)
    (spend,), (before,) = restored.workload_spends, first.step.state.workload_spends
    assert (spend.period_start, spend.charged_until) == (before.period_start, before.charged_until)
    assert abs(spend.amount - before.amount) < Decimal("0.000000001")


def test_what_ran_at_the_last_word_is_known_again_by_its_count() -> None:
    first = tick(pods={"shop/sentiment-1": objects.pod()})
    told = objects.service() | {"status": of(first)}
    (placement,) = told["status"]["placements"]
    (spend,) = first.step.state.workload_spends
    (before,) = memory.restored(objects.found(told)).before
    assert (before.pool, before.count, before.slots, before.as_of) == (
        placement["pool"],
        1,
        1,
        spend.charged_until,
    )
