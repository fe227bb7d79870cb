"""The custom kinds: quick events and complete lists agree, whatever their order."""

from __future__ import annotations

from tests.kube import objects
from tests.kube.objects import Document

from farthing.kube.store import Store


def at(version: int, name: str = "sentiment", **spec: object) -> Document:
    document = objects.service(name, **spec)
    document["metadata"]["resourceVersion"] = str(version)
    return document


def names(store: Store) -> list[str]:
    return [entry.document["metadata"]["name"] for entry in store.entries("InferenceService")]


def test_a_list_removes_what_was_deleted_unseen() -> None:
    store = objects.stored(at(10), at(11, "ghost"))
    assert store.replace("InferenceService", [at(10)], 20) == 1
    assert names(store) == ["sentiment"]


def test_a_list_does_not_remove_what_is_newer_than_itself() -> None:
    store = objects.stored(at(25, "fresh"))
    assert store.replace("InferenceService", [], 20) == 0
    assert names(store) == ["fresh"]


def test_a_late_deletion_does_not_remove_what_was_made_anew() -> None:
    store = objects.stored(at(30))
    store.remove(at(25))
    assert names(store) == ["sentiment"]
    store.remove(at(31))
    assert names(store) == []


def test_an_older_state_does_not_replace_a_newer_one() -> None:
    store = objects.stored(at(30, priority=7), at(20, priority=1))
    (entry,) = store.entries("InferenceService")
    assert entry.document["spec"]["priority"] == 7


def test_only_what_people_change_asks_for_a_tick() -> None:
    asked: list[int] = []
    store = Store(on_change=lambda: asked.append(1))
    store.put(at(10))
    store.put(at(11) | {"status": {"replicas": 3}})
    assert len(asked) == 1
    changed = at(12, priority=5)
    changed["metadata"]["generation"] = 2
    store.put(changed)
    assert len(asked) == 2


def test_an_object_that_cannot_be_read_is_kept_with_its_problem() -> None:
    (entry,) = objects.stored(at(10, slo={})).entries("InferenceService")
    assert entry.resource is None
    assert "spec.slo.latencyMilliseconds: missing" in str(entry.problem)
