"""`farthing plan`: what it decides without a cluster, and that it says what it assumed."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import pytest
from tests.api import samples
from tests.cli import program

_SAMPLES = str(samples.CRDS / "samples" / "valid")
POOLS = """
apiVersion: farthing.dev/v1alpha1
kind: CapacityPool
metadata: {name: l4-spot}
spec:
  capacityType: Spot
  slot: {cpu: "8", memory: 32Gi, accelerator: {resourceName: nvidia.com/gpu, model: NVIDIA-L4}}
  price: {perSlotHour: "0.284"}
  capacity: {maximumSlots: 40}
  interruption: {noticeSeconds: 30, priorPerHour: "0.12"}
---
apiVersion: farthing.dev/v1alpha1
kind: CapacityPool
metadata: {name: l4-on-demand}
spec:
  capacityType: OnDemand
  slot: {cpu: "8", memory: 32Gi, accelerator: {resourceName: nvidia.com/gpu, model: NVIDIA-L4}}
  price: {perSlotHour: "0.70"}
"""
SERVICE = """
apiVersion: farthing.dev/v1alpha1
kind: InferenceService
metadata: {name: sentiment, namespace: shop}
spec:
  model: {uri: "hf://acme/sentiment"}
  slo: {latencyMilliseconds: 250}
  budget: {amount: "30.00", period: Day}
"""
PROFILE = """
apiVersion: farthing.dev/v1alpha1
kind: ModelProfile
metadata: {name: sentiment, namespace: shop}
spec:
  modelUri: hf://acme/sentiment
  provenance: Measured
  entries:
  - variant: default
    hardware: NVIDIA-L4
    maximumBatchSize: 32
    batches: [{size: 1, milliseconds: "20"}, {size: 11, milliseconds: "120"}]
    startupSeconds: 20
"""
BUDGET = """
apiVersion: farthing.dev/v1alpha1
kind: ClusterBudget
metadata: {name: shops}
spec: {namespaceSelector: {matchLabels: {team: shop}}, amount: "100.00", period: Day}
"""


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    """A service with a profile, two pools, and a budget that selects by label."""
    found = tmp_path / "manifests"
    found.mkdir()
    (found / "pools.yaml").write_text(POOLS)
    (found / "service.yaml").write_text(SERVICE)
    (found / "profile.yml").write_text(PROFILE)
    (found / "budget.yaml").write_text(BUDGET)
    return found


def _json(*arguments: str) -> dict[str, Any]:
    result = program.run("plan", *arguments, "-o", "json")
    assert (result.exit_code, result.stderr) == (0, "")
    document = json.loads(result.stdout)
    assert isinstance(document, dict)
    return document


def _observed(folder: pathlib.Path, text: str) -> str:
    path = folder.parent / "seen.yaml"
    path.write_text(text)
    return str(path)


def test_the_plan_of_a_service_is_a_table_its_assumptions_and_its_record(
    folder: pathlib.Path,
) -> None:
    result = program.run("plan", "-f", str(folder), "--requests-per-second", "200")
    assert (result.exit_code, result.stdout.splitlines(), result.stderr) == (0, GOLDEN, "")


GOLDEN = [
    "plan at 2026-01-01T00:00:00Z  1 service  USD 0.852/h  USD 621.96/month",
    "NAMESPACE  NAME       TRAFFIC/S  REPLICAS  POOLS      USD/H  USD/MONTH  BUDGET          "
    "  REASON",
    "shop       sentiment        200         3  l4-spot 3  0.852     621.96  68% of 30.00 Day"
    "  WithinSLO",
    "budget shops  USD 0.00/h  forecast 0.00 of 100.00 (0%)",
    "Assumes 730 hours in a month, and list prices as the CapacityPools state them",
    "Assumes steady traffic that lasts, so that replicas have been added and removed",
    "Assumes that ClusterBudget shops selects no namespace of the files (labels come from Nam"
    "espace documents or --observation)",
    "",
    "shop/sentiment  d-095d73cde0  2026-01-01 00:00:00Z  l4-spot 3  USD 0.852/h  WithinSLO",
    "Because        3 replicas for 207.3 requests/s (200.0 now, 0 queued), 75 requests/s each"
    " within the SLO",
    "OPTION          P99 MS  USD/H  RESULT",
    "l4-spot 3        195.8  0.852  CHOSEN: cheapest mix that meets the SLO within the limits",
    "l4-on-demand 3   195.8   2.10  rejected: 1.248 per hour dearer",
    "Bound by       Demand",
    "Budget         USD 0.00 spent of 30.00 per Day (0%), forecast 20.448 (68%)",
    "Reverses when  adds one above 225.1 requests/s; removes one below 150.0 requests/s",
    "Data           load-option 0 s old",
]


def test_the_samples_of_the_resources_can_be_planned() -> None:
    planned = _json("-f", _SAMPLES)
    assert [(one["namespace"], one["name"]) for one in planned["services"]] == [
        ("default", "catalog"),
        ("default", "fraud"),
        ("default", "sentiment"),
        ("default", "sentiment-full"),
    ]


@pytest.mark.parametrize("output", ["table", "wide", "json", "yaml"])
def test_the_same_input_gives_the_same_bytes(output: str) -> None:
    arguments = ("plan", "-f", _SAMPLES, "--requests-per-second", "40", "-o", output)
    assert program.run(*arguments).stdout_bytes == program.run(*arguments).stdout_bytes


def test_the_order_of_files_changes_nothing(folder: pathlib.Path) -> None:
    files = [str(file) for file in sorted(folder.iterdir())]
    forward, backward = (
        program.run("plan", *(part for file in order for part in ("-f", file)), "-o", "json")
        for order in (files, files[::-1])
    )
    assert forward.stdout == backward.stdout


def test_without_a_load_no_traffic_is_assumed_and_said(folder: pathlib.Path) -> None:
    planned = _json("-f", str(folder))
    assert planned["services"][0]["traffic"] == {
        "requestsPerSecond": 0.0,
        "queued": 0.0,
        "source": "assumed",
    }
    assert (
        "0 requests/s for shop/sentiment, since no load was given (--requests-per-second or "
        "--observation gives one)" in planned["assumptions"]
    )


def test_of_many_services_an_assumption_names_the_first_few(folder: pathlib.Path) -> None:
    for number in range(1, 9):
        (folder / f"service{number}.yaml").write_text(
            SERVICE.replace("name: sentiment", f"name: sentiment{number}")
        )
    assert (
        "0 requests/s for shop/sentiment, shop/sentiment1, shop/sentiment2, shop/sentiment3, "
        "shop/sentiment4 and 4 more, since no load was given (--requests-per-second or "
        "--observation gives one)" in _json("-f", str(folder))["assumptions"]
    )


def test_more_traffic_takes_more_replicas_and_more_money(folder: pathlib.Path) -> None:
    plans = [
        _json("-f", str(folder), "--requests-per-second", rate) for rate in ("1", "200", "900")
    ]
    replicas = [plan["services"][0]["replicas"] for plan in plans]
    costs = [float(plan["costPerHour"]) for plan in plans]
    assert (replicas, costs) == (sorted(set(replicas)), sorted(set(costs)))


def test_amounts_are_exact_and_a_month_has_730_hours(folder: pathlib.Path) -> None:
    planned = _json("-f", str(folder))
    service = planned["services"][0]
    assert (service["costPerHour"], service["costPerMonth"], planned["costPerMonth"]) == (
        "0.284",
        "207.32",
        "207.32",
    )
    assert service["decision"]["costPerHour"] == "0.284"


def test_the_load_of_a_service_comes_from_the_observation_file_before_the_option(
    folder: pathlib.Path,
) -> None:
    seen = _observed(folder, "load: {shop/sentiment: {requestsPerSecond: 7.5, queued: 3}}")
    planned = _json("-f", str(folder), "--observation", seen, "--requests-per-second", "900")
    assert planned["services"][0]["traffic"] == {
        "requestsPerSecond": 7.5,
        "queued": 3.0,
        "source": "file",
    }


@pytest.mark.parametrize(
    ("observation", "option", "expected"),
    [
        ("load: {}", None, "2026-01-01T00:00:00Z"),
        ("at: 2026-03-01T02:00:00+02:00", None, "2026-03-01T00:00:00Z"),
        ("at: '2026-03-01T00:00:00Z'", None, "2026-03-01T00:00:00Z"),
        ("at: 2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z", "2026-04-01T00:00:00Z"),
    ],
)
def test_the_instant_is_that_of_the_option_the_file_or_the_fixed_one(
    folder: pathlib.Path, observation: str, option: str | None, expected: str
) -> None:
    arguments = ["-f", str(folder), "--observation", _observed(folder, observation)]
    planned = _json(*arguments, *(["--at", option] if option else []))
    decided_at = planned["services"][0]["decision"]["at"]
    assert (planned["at"], decided_at) == (expected, expected.replace("Z", ".000000Z"))


def test_given_replicas_are_what_is_decided_upon(folder: pathlib.Path) -> None:
    seen = _observed(
        folder,
        """
        load: {shop/sentiment: {requestsPerSecond: 1}}
        replicas: {shop/sentiment: [{pool: l4-on-demand, count: 3, ready: 2}]}
        """,
    )
    service = _json("-f", str(folder), "--observation", seen)["services"][0]
    assert [(place["pool"], place["target"]) for place in service["placements"]] == [
        ("l4-on-demand", 3),
        ("l4-spot", 1),
    ]
    assert service["decision"]["reasonCode"] == "RetainedUntilRestartIsDearer"


@pytest.mark.parametrize(
    "source", ["observation", "document"], ids=["observation", "Namespace document"]
)
def test_a_cluster_budget_is_paid_by_the_namespaces_with_its_labels(
    folder: pathlib.Path, source: str
) -> None:
    arguments = ["-f", str(folder)]
    before = _json(*arguments)["clusterBudgets"][0]["costPerHour"]
    if source == "observation":
        seen = _observed(folder, "namespaces: {shop: {labels: {team: shop}}}")
        arguments += ["--observation", seen]
    else:
        (folder / "namespace.yaml").write_text(
            "{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {team: shop}}}"
        )
    after = _json(*arguments)["clusterBudgets"][0]["costPerHour"]
    assert (before, after) == ("0", "0.284")


def test_a_budget_that_selects_nobody_is_said(folder: pathlib.Path) -> None:
    said = [one for one in _json("-f", str(folder))["assumptions"] if "ClusterBudget" in one]
    assert said == [
        "that ClusterBudget shops selects no namespace of the files (labels come from Namespace "
        "documents or --observation)"
    ]


def test_idle_commitments_are_shown_and_not_hidden(folder: pathlib.Path) -> None:
    (folder / "reserved.yaml").write_text(
        POOLS.partition("---")[0]
        .replace("l4-spot", "l4-reserved")
        .replace("Spot", "Reserved")
        .replace("maximumSlots: 40", "committedSlots: 4")
        .replace('interruption: {noticeSeconds: 30, priorPerHour: "0.12"}', "startup: {}")
    )
    assert _json("-f", str(folder))["idleCommitments"] == [
        {"pool": "l4-reserved", "committedSlots": 4, "unusedSlots": 3, "costPerHour": "0.852"}
    ]


def test_without_a_profile_the_count_is_said_to_be_a_careful_start(folder: pathlib.Path) -> None:
    (folder / "profile.yml").unlink()
    planned = _json("-f", str(folder), "--requests-per-second", "500")
    assert (planned["services"][0]["replicas"], planned["services"][0]["profileKnown"]) == (
        1,
        False,
    )
    assert any("there is no ModelProfile" in one for one in planned["assumptions"])


@pytest.mark.parametrize(("option", "exit_code"), [([], 0), (["--check"], 2)])
def test_a_budget_that_does_not_suffice_fails_only_a_check(
    folder: pathlib.Path, option: list[str], exit_code: int
) -> None:
    service = folder / "service.yaml"
    service.write_text(SERVICE.replace('"30.00"', '"6.00"'))
    result = program.run("plan", "-f", str(folder), *option)
    assert (result.exit_code, result.stderr) == (exit_code, "")
    assert (
        "! shop/sentiment: forecast USD 6.816 is above the budget of 6.00"
        in result.stdout.splitlines()
    )


def test_a_plan_within_its_limits_passes_the_check(folder: pathlib.Path) -> None:
    assert program.run("plan", "-f", str(folder), "--check").exit_code == 0


def test_standard_input_is_read_where_the_file_is_a_dash() -> None:
    result = program.run("plan", "-f", "-", "-o", "json", stdin=f"{POOLS}---{SERVICE}")
    assert (result.exit_code, json.loads(result.stdout)["services"][0]["name"]) == (0, "sentiment")
