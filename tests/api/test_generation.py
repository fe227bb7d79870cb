"""The CRDs: generated, current, and shaped as a first-class CRD is."""

from __future__ import annotations

import pathlib
import re
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from tests.api import samples

from farthing.api import generate
from farthing.api.decoding import KINDS

_CRDS = {kind: generate.definition_of(resource) for kind, resource in KINDS.items()}
_BOOLEANS = ["InferenceService.spec.paused"]


def _fields(kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
    (version,) = _CRDS[kind]["spec"]["versions"]
    schema = version["schema"]["openAPIV3Schema"]
    for part in ("spec", "status"):
        if part in schema["properties"]:
            yield from _below(f"{kind}.{part}", schema["properties"][part])


def _below(path: str, node: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, node
    for name, item in node.get("properties", {}).items():
        yield from _below(f"{path}.{name}", item)
    for key, mark in (("items", "[]"), ("additionalProperties", "{}")):
        if key in node:
            yield from _below(path + mark, node[key])


_ALL = [found for kind in KINDS for found in _fields(kind)]


def test_the_committed_files_are_those_that_the_models_give() -> None:
    assert generate.drift(samples.CRDS) == ""


def test_check_fails_with_the_difference_when_a_file_was_edited(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "crds"
    shutil.copytree(samples.CRDS, folder, ignore=shutil.ignore_patterns("samples"))
    edited = folder / "capacitypools.yaml"
    edited.write_text(edited.read_text().replace("maximum: 100000", "maximum: 7"))

    assert generate.main(["--check", str(folder)]) == 1
    assert "+                    maximum: 100000" in capsys.readouterr().out


def test_check_fails_when_a_file_is_missing_or_left_over(tmp_path: pathlib.Path) -> None:
    assert generate.main([str(tmp_path)]) == 0
    assert generate.main(["--check", str(tmp_path)]) == 0
    (tmp_path / "modelprofiles.yaml").unlink()
    assert generate.main(["--check", str(tmp_path)]) == 1
    assert generate.main([str(tmp_path)]) == 0
    (tmp_path / "governancepolicies.yaml").write_text("kind: CustomResourceDefinition\n")
    assert generate.main(["--check", str(tmp_path)]) == 1


def test_the_kustomization_lists_every_crd() -> None:
    kustomization = yaml.safe_load((samples.CRDS / "kustomization.yaml").read_text())

    assert kustomization["resources"] == sorted(
        f"{resource.definition.plural}.yaml" for resource in KINDS.values()
    )


def test_every_field_is_described_in_a_sentence() -> None:
    bad = [
        path
        for path, node in _ALL
        if not path.endswith(("[]", "{}")) and not re.match(r"^[A-Z].{8,}\.$", _text(node))
    ]

    assert bad == []


def _text(node: dict[str, Any]) -> str:
    return str(node.get("description", "")).replace("\n", " ")


def test_every_list_has_a_type_and_a_bound() -> None:
    lists = {path: node for path, node in _ALL if node.get("type") == "array"}

    assert {
        path: node
        for path, node in lists.items()
        if "x-kubernetes-list-type" not in node or "maxItems" not in node
    } == {}
    assert {
        path: node
        for path, node in lists.items()
        if (node["x-kubernetes-list-type"] == "map") != ("x-kubernetes-list-map-keys" in node)
    } == {}


def test_every_string_is_bounded() -> None:
    bad = [
        path
        for path, node in _ALL
        if node.get("type") == "string" and not {"maxLength", "enum"} & node.keys()
    ]

    assert bad == []


def test_every_map_is_bounded() -> None:
    bad = [
        path
        for path, node in _ALL
        if "additionalProperties" in node and "maxProperties" not in node
    ]

    assert bad == []


def test_every_integer_of_a_spec_has_both_bounds() -> None:
    bad = [
        path
        for path, node in _ALL
        if ".spec." in path and node.get("type") == "integer"
        if not {"minimum", "maximum"} <= node.keys()
    ]

    assert bad == []


def test_no_field_is_a_float() -> None:
    assert [path for path, node in _ALL if node.get("type") == "number"] == []


def test_booleans_are_few_and_meant() -> None:
    assert [path for path, node in _ALL if node.get("type") == "boolean"] == _BOOLEANS


def test_enumerations_are_camel_case() -> None:
    values = {value for _, node in _ALL for value in node.get("enum", ())}

    assert [
        value for value in values if not re.fullmatch("([A-Z][a-z0-9]+)+|BFloat16", value)
    ] == []


def test_every_field_has_a_type_and_none_takes_unknown_fields() -> None:
    assert [path for path, node in _ALL if "type" not in node] == []
    assert [
        path
        for path, node in _ALL
        if "x-kubernetes-preserve-unknown-fields" in node or "$ref" in node or "anyOf" in node
    ] == []


def test_a_status_has_neither_defaults_nor_rules() -> None:
    assert [
        path
        for path, node in _ALL
        if ".status" in path and {"default", "x-kubernetes-validations"} & node.keys()
    ] == []


def test_items_of_lists_have_no_stored_defaults() -> None:
    assert [path for path, node in _ALL if "[]" in path and "default" in node] == []


def test_the_escape_hatch_for_an_outside_autoscaler_has_no_default() -> None:
    replicas = dict(_ALL)["InferenceService.spec.replicas"]

    assert "default" not in replicas


def test_every_rule_says_what_is_allowed() -> None:
    rules = [rule for _, node in _ALL for rule in node.get("x-kubernetes-validations", ())]

    assert [rule for rule in rules if "allowed: " not in rule["message"]] == []
    assert len(rules) >= 20


def test_the_short_name_is_not_that_of_another_project() -> None:
    short = {kind: crd["spec"]["names"].get("shortNames", []) for kind, crd in _CRDS.items()}

    assert short == {
        "InferenceService": ["fis"],
        "CapacityPool": [],
        "InferenceRuntime": [],
        "ModelProfile": [],
        "ClusterBudget": [],
    }


def test_every_crd_is_small_enough_for_kubectl_apply() -> None:
    assert [name for name, text in generate.files().items() if len(text) > 262_144 // 2] == []
