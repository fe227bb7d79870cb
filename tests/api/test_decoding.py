"""What decoding promises: defaults, strictness, and clear refusals of whatever comes."""

from __future__ import annotations

import copy
import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.api import samples, statuses

from farthing import api
from farthing.api.inference_service import Variant


def _service(**spec: Any) -> dict[str, Any]:
    document = samples.named("inference-service-smallest")
    document["metadata"]["namespace"] = "shop"
    document["spec"] |= spec
    return document


def _lines(document: object) -> list[str]:
    with pytest.raises(api.InvalidResource) as refusal:
        api.decode(document)
    return str(refusal.value).splitlines()


def test_the_smallest_service_gets_every_default() -> None:
    assert api.decode(_service()).to_document()["spec"] == {
        "model": {"uri": "hf://acme/sentiment"},
        "runtimeRef": {"name": "torch"},
        "variants": [],
        "slo": {"latencyMilliseconds": 300, "percentile": 99, "attainmentPercent": "99"},
        "budget": {"amount": "12.00", "period": "Day", "whenExceeded": "AlertOnly"},
        "scaling": {"minReplicas": 1, "maxReplicas": 20, "targetQueueLength": 4},
        "placement": {
            "poolSelector": {"matchLabels": {}},
            "spot": "Allow",
            "minimumNonSpotReplicas": 0,
        },
        "priority": 100,
        "paused": False,
    }


def test_a_service_without_variants_has_one_in_float32() -> None:
    decoded = api.decode(_service())
    assert isinstance(decoded, api.InferenceService)

    assert decoded.spec.effective_variants() == (Variant(name="default", precision="Float32"),)


def test_a_status_that_was_never_written_reads_as_unknown() -> None:
    decoded = api.decode(_service())
    assert isinstance(decoded, api.InferenceService)

    assert decoded.status == api.InferenceServiceStatus(cost_per_hour="unknown", pools="unknown")


@pytest.mark.parametrize(("sample", "status"), statuses.BY_SAMPLE.items())
def test_a_complete_status_is_read_as_it_was_written(sample: str, status: api.Part) -> None:
    document = samples.named(sample) | {"status": status.to_document()}
    decoded = api.decode(document)
    assert isinstance(decoded, api.InferenceService | api.CapacityPool | api.ClusterBudget)

    assert (decoded.status, decoded.to_document()["status"]) == (status, document["status"])


def test_a_complete_status_is_small() -> None:
    assert len(json.dumps(statuses.SERVICE.to_document())) < 8 * 1024 / 3


def test_a_status_field_of_a_newer_version_is_ignored() -> None:
    document = _service() | {"status": {"replicas": 3, "mood": "good"}}
    decoded = api.decode(document)
    assert isinstance(decoded, api.InferenceService)

    assert decoded.status == api.InferenceServiceStatus(replicas=3)


def test_metadata_that_farthing_does_not_read_is_ignored() -> None:
    document = _service()
    document["metadata"] |= {"managedFields": [{}], "finalizers": ["x"], "labels": {"team": "a"}}

    assert api.decode(document).metadata.labels == {"team": "a"}


def test_a_null_counts_as_absent() -> None:
    assert api.decode(_service(replicas=None, scaling=None)) == api.decode(_service())


def test_a_pool_without_accelerator_is_cpu_hardware() -> None:
    cpu = api.decode(samples.named("capacity-pool-smallest"))
    gpu = api.decode(samples.named("capacity-pool-reserved"))
    assert isinstance(cpu, api.CapacityPool)
    assert isinstance(gpu, api.CapacityPool)

    assert (cpu.spec.slot.hardware, gpu.spec.slot.hardware) == ("cpu", "NVIDIA-L4")


def test_arguments_of_a_precision_follow_the_general_ones() -> None:
    runtime = api.decode(samples.named("inference-runtime-full"))
    assert isinstance(runtime, api.InferenceRuntime)

    assert runtime.spec.arguments("Int8")[-2:] == ("--precision=int8", "--per-channel")


@pytest.mark.parametrize(
    ("labels", "selected"),
    [({"team": "research", "tier": "1"}, True), ({"team": "sales"}, False), ({}, False)],
)
def test_a_selector_wants_all_of_its_labels(labels: dict[str, str], selected: bool) -> None:
    budget = api.decode(samples.named("cluster-budget-full"))
    assert isinstance(budget, api.ClusterBudget)

    assert budget.spec.namespace_selector.selects(labels) is selected


def test_every_problem_has_a_line_with_field_value_and_what_is_allowed() -> None:
    document = _service(
        slo={"latencyMilliseconds": "300"}, scaling={"minReplicas": 5, "maxReplicas": 3}, color=1
    )
    del document["spec"]["model"]

    assert sorted(_lines(document)) == [
        "InferenceService shop/sentiment: spec.color: unknown field; allowed: model, runtimeRef, "
        "variants, minimumAccuracyPercent, slo, budget, scaling, placement, priority, paused, "
        "replicas",
        "InferenceService shop/sentiment: spec.model: missing; allowed: an object with name, uri, "
        "revision, sha256",
        "InferenceService shop/sentiment: spec.scaling.minReplicas: 5 is refused; allowed: "
        "at most maxReplicas, which is 3",
        'InferenceService shop/sentiment: spec.slo.latencyMilliseconds: "300" is refused; '
        "allowed: an integer from 1 to 600000",
    ]


def test_a_refusal_carries_its_problems_as_values() -> None:
    with pytest.raises(api.InvalidResource) as refusal:
        api.decode(_service(priority=-1))

    problem = api.Problem("spec.priority", -1, "an integer from 0 to 1000")
    assert (refusal.value.kind, refusal.value.namespace, refusal.value.name) == (
        "InferenceService",
        "shop",
        "sentiment",
    )
    assert refusal.value.problems == (problem,)


def test_a_refused_value_reaches_no_terminal_unescaped() -> None:
    (line,) = _lines(_service(runtimeRef={"name": "a\u202e\x1b[2J"}))

    assert r'"a\u202e\u001b[2J" is refused' in line


def test_a_long_value_is_cut_in_the_message() -> None:
    (line,) = _lines(_service(priority="9" * 100_000))

    assert len(line) < 300


@pytest.mark.parametrize(
    ("document", "line"),
    [
        ([], "document (no name): (root): [] is refused; allowed: an object of Farthing"),
        (None, "document (no name): (root): missing; allowed: an object of Farthing"),
        ({}, "document (no name): apiVersion: missing; allowed: farthing.dev/v1alpha1"),
        (
            {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}},
            'Pod x: apiVersion: "v1" is refused; allowed: farthing.dev/v1alpha1',
        ),
        (
            {"apiVersion": "farthing.dev/v1alpha1", "kind": ["x"], "metadata": 3},
            'document (no name): kind: ["x"] is refused; allowed: one of InferenceService, '
            "CapacityPool, InferenceRuntime, ModelProfile, ClusterBudget",
        ),
    ],
)
def test_what_is_no_resource_of_farthing_is_refused(document: object, line: str) -> None:
    assert _lines(document) == [line]


def test_python_names_of_fields_are_no_names_in_files() -> None:
    (line,) = _lines(_service(runtime_ref={"name": "torch"}))

    assert "spec.runtime_ref: unknown field" in line


def test_deep_nesting_is_refused_like_any_other_wrong_value() -> None:
    deep: Any = "x"
    for _ in range(500):
        deep = {"x": deep}

    assert [line.split(": ")[1] for line in _lines(_service(priority=deep))] == ["spec.priority"]


def test_a_document_that_contains_itself_is_refused_like_any_other() -> None:
    ring: list[Any] = []
    ring.append({"x": ring})

    (line,) = _lines(_service(priority=ring))
    assert 'spec.priority: [{"x": [{"x": "..."}]}] is refused' in line


def test_a_document_of_a_billion_aliases_is_refused_at_once() -> None:
    laughs: Any = "ha"
    for _ in range(9):
        laughs = [laughs] * 10

    assert len(_lines(_service(variants=laughs))) <= 16


def test_a_null_does_not_hide_an_unknown_field() -> None:
    (line,) = _lines(_service(slo={"latencyMilliseconds": 300, "p99": None}))

    assert "spec.slo.p99: unknown field" in line


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["NaN", "-1", "1e309", "٣", " 1", "0x10", "12.00", "Float32", "Spot", "x"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


def _places(value: object, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    steps = value.items() if isinstance(value, dict) else ()
    steps = enumerate(value) if isinstance(value, list) else steps
    for step, item in steps:
        found += _places(item, (*path, step))
    return found


@settings(max_examples=600, deadline=None)
@given(data=st.data(), path=st.sampled_from(samples.VALID))
def test_whatever_comes_is_decoded_exactly_or_refused(data: st.DataObject, path: Any) -> None:
    document = copy.deepcopy(samples.document(path))
    *above, last = data.draw(st.sampled_from(_places(document)))
    parent: Any = document
    for step in above:
        parent = parent[step]
    parent[last] = data.draw(_JSON)

    decoded, problems = _outcome(document)
    if decoded is None:
        assert problems
        assert all(problem.path and problem.allowed for problem in problems)
    else:
        assert api.decode(decoded.to_document()) == decoded


def _outcome(document: object) -> tuple[api.Resource | None, tuple[api.Problem, ...]]:
    try:
        return api.decode(document), ()
    except api.InvalidResource as refusal:
        return None, refusal.problems


def test_money_keeps_the_digits_it_was_written_with() -> None:
    amount = "123456789012.123456789"
    decoded = api.decode(_service(budget={"amount": amount, "period": "Month"}))
    assert isinstance(decoded, api.InferenceService)

    assert decoded.spec.budget.amount == Decimal(amount)
    assert decoded.to_document()["spec"]["budget"]["amount"] == amount
