"""The examples are what the demo, the pools and the runtimes expect of them."""

from __future__ import annotations

import pathlib

import yaml
from benchmarks.demo import scenario

from farthing import api

ROOT = pathlib.Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
MANIFESTS = ROOT / "manifests"


def resources(*files: pathlib.Path) -> list[api.AnyResource]:
    return [
        api.decode(document)
        for file in files
        for document in yaml.safe_load_all(file.read_text())
        if document["apiVersion"].startswith(f"{api.GROUP}/")
    ]


def examples() -> list[api.AnyResource]:
    listed = yaml.safe_load((EXAMPLES / "kustomization.yaml").read_text())["resources"]
    files = {path.name for path in EXAMPLES.glob("*.yaml")} - {"kustomization.yaml"}
    assert set(listed) == files
    return resources(*(EXAMPLES / name for name in listed))


def services() -> dict[str, api.InferenceService]:
    return {one.metadata.name: one for one in examples() if isinstance(one, api.InferenceService)}


def test_the_demo_sends_to_exactly_the_services_that_are_applied() -> None:
    found = services()

    assert set(found) == {scenario.CHAT, scenario.EMBEDDER}
    assert {one.metadata.namespace for one in examples()} == {scenario.NAMESPACE}


def test_every_service_has_pools_and_a_runtime_of_the_local_installation() -> None:
    pools = resources(MANIFESTS / "overlays" / "local" / "pools.yaml")
    runtimes = resources(MANIFESTS / "base" / "runtimes.yaml")

    for service in services().values():
        wanted = service.spec.placement.pool_selector.match_labels.items()
        assert wanted
        assert any(wanted <= pool.metadata.labels.items() for pool in pools)
        assert service.spec.runtime_ref.name in {one.metadata.name for one in runtimes}


def test_the_profile_is_about_the_model_of_chat() -> None:
    profiles = [one for one in examples() if isinstance(one, api.ModelProfile)]

    assert [one.spec.model_uri for one in profiles] == [services()["chat"].spec.model.uri]
