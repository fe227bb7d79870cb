"""What a real API server makes of the CRDs and the samples."""

from __future__ import annotations

import copy
import json
import pathlib
import random
from collections.abc import Iterator
from typing import Any

import kubernetes
import pytest
from tests.api import samples, statuses
from tests.cluster_fixture import ControlPlane

from farthing import api
from farthing.api.decoding import KINDS

pytestmark = pytest.mark.cluster

_NAMES = [f"{resource.definition.plural}.farthing.dev" for resource in KINDS.values()]
_SCHEMAS = {resource.__name__: resource for resource in KINDS.values()}


@pytest.fixture(scope="module")
def server(control_plane: ControlPlane) -> Iterator[ControlPlane]:
    """The control plane with the CRDs; objects of theirs are gone afterwards."""
    control_plane.kubectl("apply", "-k", str(samples.CRDS))
    control_plane.kubectl(
        "wait", "--for=condition=Established", "--timeout=30s", *(f"crd/{name}" for name in _NAMES)
    )
    yield control_plane
    for name in _NAMES:
        control_plane.kubectl("delete", name, "--all")


@pytest.mark.parametrize("name", _NAMES)
def test_the_server_accepts_names_and_structure(server: ControlPlane, name: str) -> None:
    crd = server.get("crd", name)
    states = {entry["type"]: entry["status"] for entry in crd["status"]["conditions"]}

    assert states == {"Established": "True", "NamesAccepted": "True"}


@pytest.mark.parametrize("path", samples.VALID, ids=samples.name_of)
def test_a_valid_sample_applied_again_is_unchanged(
    server: ControlPlane, path: pathlib.Path
) -> None:
    server.kubectl("apply", "-f", str(path))

    assert server.kubectl("apply", "-f", str(path)).stdout.strip().endswith(" unchanged")
    assert server.kubectl("diff", "-f", str(path)).stdout == ""


@pytest.mark.parametrize("path", samples.VALID, ids=samples.name_of)
def test_the_server_and_decoding_give_the_same_defaults(
    server: ControlPlane, path: pathlib.Path
) -> None:
    dry_run = server.kubectl("apply", "--dry-run=server", "-o", "json", "-f", str(path))
    stored = api.decode(json.loads(dry_run.stdout))

    assert stored.to_document()["spec"] == api.decode(samples.document(path)).to_document()["spec"]


@pytest.mark.parametrize("path", samples.INVALID, ids=samples.name_of)
def test_an_invalid_sample_is_refused_with_the_words_it_promises(
    server: ControlPlane, path: pathlib.Path
) -> None:
    result = server.kubectl("apply", "--dry-run=server", "-f", str(path), check=False)

    assert result.returncode != 0
    assert [text for text in samples.refusals(path) if text not in result.stderr] == []


@pytest.mark.parametrize("kind", _SCHEMAS)
def test_kubectl_explains_every_field(server: ControlPlane, kind: str) -> None:
    published = json.loads(
        server.kubectl("get", "--raw", "/openapi/v3/apis/farthing.dev/v1alpha1").stdout
    )
    schema = published["components"]["schemas"][f"dev.farthing.v1alpha1.{kind}"]
    fields = dict(_described(schema))
    explain = ["explain", _SCHEMAS[kind].definition.plural, "--recursive"]
    explained = server.kubectl(*explain, "--api-version=farthing.dev/v1alpha1").stdout.split()

    assert [path for path, text in fields.items() if not text] == []
    assert [path for path in fields if path.rpartition(".")[2] not in explained] == []


def _described(schema: dict[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    for name, node in schema.get("properties", {}).items():
        if (above, name) != ("", "metadata"):
            yield f"{above}.{name}", node.get("description", "")
            yield from _described(node, f"{above}.{name}")
            yield from _described(node.get("items", {}), f"{above}.{name}")


def test_a_service_is_listed_with_the_columns_that_say_what_it_costs(
    server: ControlPlane,
) -> None:
    server.kubectl("apply", "-f", str(samples.CRDS / "samples/valid/inference-service-full.yaml"))
    narrow = server.kubectl("get", "fis", "sentiment-full").stdout.splitlines()[0].split()
    wide = server.kubectl("get", "fis", "sentiment-full", "-o", "wide").stdout.splitlines()[0]

    columns = [
        "NAME",
        "READY",
        "REASON",
        "REPLICAS",
        "QUEUE",
        "LATENCYMS",
        "SLOMS",
        "COST/H",
        "BUDGETUSED%",
        "AGE",
    ]
    assert narrow == columns
    assert wide.split() == [*columns, "MODEL", "POOLS", "COST/1K", "LASTDECISION"]


def test_one_category_lists_all_kinds(server: ControlPlane) -> None:
    for path in samples.VALID:
        server.kubectl("apply", "-f", str(path))
    listed = server.kubectl("get", "farthing", "-o", "name").stdout

    assert {line.partition(".")[0] for line in listed.split()} == {k.lower() for k in KINDS}


def test_fields_that_fleets_are_searched_by_can_be_selected(server: ControlPlane) -> None:
    server.kubectl("apply", "-f", str(samples.CRDS / "samples/valid/inference-service-full.yaml"))
    by = "spec.budget.whenExceeded=Cap,spec.runtimeRef.name=torch,spec.placement.spot=Allow"

    assert server.kubectl("get", "fis", "--field-selector", by, "-o", "name").stdout.split() == [
        "inferenceservice.farthing.dev/sentiment-full"
    ]


@pytest.mark.parametrize(("sample", "status"), statuses.BY_SAMPLE.items())
def test_a_complete_status_is_stored_as_it_was_written(
    server: ControlPlane, sample: str, status: api.Part
) -> None:
    path = samples.CRDS / f"samples/valid/{sample}.yaml"
    named = f"{samples.named(sample)['kind']}/{samples.named(sample)['metadata']['name']}"
    server.kubectl("apply", "-f", str(path))
    patch = json.dumps({"status": status.to_document()})
    server.kubectl("patch", named, "--type=merge", "--subresource=status", "-p", patch)

    assert server.get(named)["status"] == status.to_document()


def test_a_written_status_is_kept_and_only_the_status_resource_writes_it(
    server: ControlPlane,
) -> None:
    path = samples.CRDS / "samples/valid/inference-service-full.yaml"
    server.kubectl("apply", "-f", str(path))
    status = {"status": api.InferenceServiceStatus(replicas=3, selector="a=b").to_document()}
    tampered = {"status": {"replicas": 9, "costPerHour": "0"}}
    patch = ["patch", "fis", "sentiment-full", "--type=merge", "-p"]

    server.kubectl(*patch, json.dumps(status), "--subresource=status")
    before = server.get("fis", "sentiment-full")["status"]
    server.kubectl(*patch, json.dumps(tampered))
    assert server.get("fis", "sentiment-full")["status"] == before
    scale = server.get("fis", "sentiment-full", "--subresource=scale")
    assert (scale["spec"], scale["status"]) == ({"replicas": 3}, {"replicas": 3, "selector": "a=b"})


_HOSTILE = [
    None, True, False, 0, 1, -1, 3, 10**6, 10**18, 2**63, 2**70, 0.5, 1e300, "", "x", "NaN",
    "Infinity", "-1", "1e309", "٣", " 1", "0x10", "12.00", "0", "100", "Float32", "Spot", "Forbid",
    "Cap", "a" * 70, "A", "a.b", "-", "/", "x" * 2000, "$(id)", "\u202e1", "' OR 1=1", [], ["x"],
    ["x", "x"], [1], [None], {}, {"x": 1}, {"x": "y"}, {"name": "x"}, [{"name": "x"}], [{}],
    "https://127.0.0.1/", "hf://a/b", "512Mi", "500m", "cpu",
]  # fmt: skip


def _places(value: object, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path and path[0] == "spec" else []
    steps = value.items() if isinstance(value, dict) else ()
    steps = enumerate(value) if isinstance(value, list) else steps
    for step, item in steps:
        found += _places(item, (*path, step))
    return found


def _mutants(count: int) -> Iterator[dict[str, Any]]:
    """Valid samples with one or two hostile values in them, the same on every run."""
    chance = random.Random(20261125)
    for _ in range(count):
        document = copy.deepcopy(samples.document(chance.choice(samples.VALID)))
        document["metadata"]["name"] = "mutant"
        for _ in range(chance.choice((1, 1, 2))):
            *above, last = chance.choice(_places(document))
            parent: Any = document
            for step in above:
                parent = parent[step]
            if isinstance(parent, dict) and chance.random() < 0.1:
                last = chance.choice(["surprise", "Replicas", "replicas", "count"])
            parent[last] = copy.deepcopy(chance.choice(_HOSTILE))
        yield document


@pytest.mark.slow
def test_the_server_and_decoding_refuse_the_same_of_a_thousand_hostile_documents(
    server: ControlPlane,
) -> None:
    client = kubernetes.config.new_client_from_config(str(server.kubeconfig))
    disagreements = []
    refused = 0
    with client:
        objects = kubernetes.client.CustomObjectsApi(client)
        for document in _mutants(1000):
            by_server, by_decoding = _server_refusal(objects, document), _refusal(document)
            refused += bool(by_server)
            if bool(by_server) != bool(by_decoding):
                disagreements.append((document["spec"], by_server, by_decoding))

    assert disagreements == []
    assert refused > 800


def _refusal(document: dict[str, Any]) -> str:
    try:
        api.decode(document)
    except api.InvalidResource as refusal:
        return str(refusal)
    return ""


def _server_refusal(objects: Any, document: dict[str, Any]) -> str:
    definition = KINDS[document["kind"]].definition
    where = (api.GROUP, api.VERSION)
    how: dict[str, Any] = {"dry_run": "All", "field_validation": "Strict"}
    try:
        if definition.namespaced:
            objects.create_namespaced_custom_object(
                *where, "default", definition.plural, document, **how
            )
        else:
            objects.create_cluster_custom_object(*where, definition.plural, document, **how)
    except kubernetes.client.ApiException as refusal:
        return str(refusal.body)
    return ""
