"""`farthing status`: what it shows, and what its exit code says."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import click
import pytest
import yaml
from tests.cli import api_server, program, resources

from farthing.cli import status_view
from farthing.cli.status_view import Overview

_ALL = f"{api_server.GROUP}/inferenceservices"
_SHOP = f"{api_server.GROUP}/namespaces/shop/inferenceservices"
_BUDGETS = f"{api_server.GROUP}/clusterbudgets"


def _text(*services: Any, wide: bool = False, **changes: Any) -> list[str]:
    seen = Overview(**{"cluster": "eu-1", "services": services, "budgets": ()} | changes)
    shown = status_view.text(seen, resources.NOW, "USD", "farthing", wide=wide)
    return click.unstyle(shown).splitlines()


def test_the_table_shows_services_budgets_and_what_needs_somebody() -> None:
    shown = _text(
        resources.service(),
        resources.blind_service(),
        resources.unobserved(),
        budgets=(resources.budget(),),
    )
    assert shown == [
        "eu-1  3 services  USD 2.372/h (2 of 3 known)",
        "budget research  USD 120.50 of 400.00 per Day (30%)  forecast 205.25",
        "NAMESPACE  NAME       READY     P99/SLO MS    QUEUE  REPLICAS  POOLS                     "
        "  USD/H   USD/1K          SPEND USD",
        "shop       sentiment  True         250/800       14       2/3  l4-reserved 2, l4-spot 1  "
        "  1.186   0.0063    10.02/30.00 Day",
        "vision     vision     Unknown  unknown/800  unknown       2/3  l4-reserved 2, l4-spot 1  "
        "  1.186  unknown    10.02/30.00 Day",
        "shop       fresh      Unknown  unknown/800  unknown   unknown  unknown                   "
        "unknown  unknown  unknown/30.00 Day",
        "! vision/vision: Ready Unknown 22m (MetricsMissing). Next: farthing explain vision -n vision",
        "! vision/vision: MetricsAvailable False 22m (MetricsMissing): held at 2: no pod answers. "
        "Next: farthing explain vision -n vision",
        "! shop/fresh: Status unknown 2h (NotObserved): the operator has not written a status; it "
        "may not run. Next: kubectl describe inferenceservices.farthing.dev fresh -n shop",
    ]


def test_wide_adds_the_exact_spend_the_reason_the_model_and_the_decision() -> None:
    heading, row = _text(resources.service(), wide=True)[1:]
    start = heading.index("SPEND") - len("10.015333333/30.00 Day") + len("SPEND USD")
    assert (heading[start:], row[start:]) == (
        "             SPEND USD  REASON  MODEL                DECISION",
        "10.015333333/30.00 Day  Fine    hf://acme/sentiment  d-20481",
    )


def test_a_cost_that_no_service_knows_is_unknown_and_not_zero() -> None:
    assert _text(resources.unobserved())[0] == "eu-1  1 service  USD unknown/h (0 of 1 known)"


def test_budgets_that_may_not_be_read_are_unknown_with_the_reason() -> None:
    shown = _text(resources.service(), budgets=None, why_no_budgets="forbidden")
    assert shown[1] == "cluster budgets  unknown: forbidden"


def test_a_budget_that_will_not_last_needs_somebody() -> None:
    conditions = [
        resources.condition(
            "WithinBudget", "False", reason="ForecastAboveBudget", message="too much"
        )
    ]
    shown = _text(resources.service(), budgets=(resources.budget(conditions=conditions),))
    assert shown[-1] == (
        "! ClusterBudget research: WithinBudget False 22m (ForecastAboveBudget): too much. "
        "Next: kubectl describe clusterbudgets.farthing.dev research"
    )


def test_services_of_several_percentiles_share_a_column_that_names_none() -> None:
    other = resources.service("other")
    other["spec"]["slo"]["percentile"] = 95
    assert "LATENCY/SLO MS" in _text(resources.service(), other)[1]


def test_what_could_steer_a_terminal_is_not_printed() -> None:
    conditions = [resources.condition("MetricsAvailable", "False", message="a\x1b[2Jb\nc")]
    shown = "\n".join(_text(resources.service(conditions=conditions, pools="x\x1b]0;y")))
    assert ("\x1b" in shown, "a [2Jb c" in shown) == (False, True)


@pytest.fixture
def kubeconfig(tmp_path: pathlib.Path) -> Any:
    def to(address: str) -> str:
        return str(api_server.kubeconfig(tmp_path, address))

    return to


def test_the_namespace_is_that_of_the_context(kubeconfig: Any) -> None:
    answers = {_SHOP: api_server.listed(resources.service()), _BUDGETS: api_server.listed()}
    with api_server.serving(answers) as address:
        result = program.run("status", KUBECONFIG=kubeconfig(address))
    assert (result.exit_code, result.stdout.splitlines()[0], result.stderr) == (
        0,
        "eu-1  1 service  USD 1.186/h",
        "",
    )


def test_one_service_can_be_asked_for_by_name(kubeconfig: Any) -> None:
    path = f"{api_server.GROUP}/namespaces/chat/inferenceservices/bot"
    answers = {path: (200, resources.service("bot", "chat")), _BUDGETS: api_server.listed()}
    with api_server.serving(answers) as address:
        result = program.run("status", "bot", "-n", "chat", KUBECONFIG=kubeconfig(address))
    assert (result.exit_code, result.stdout.splitlines()[-1][:10]) == (0, "chat      ")


@pytest.mark.parametrize(("output", "load"), [("json", json.loads), ("yaml", yaml.safe_load)])
def test_documents_hold_the_objects_and_what_was_made_of_them(
    kubeconfig: Any, output: str, load: Any
) -> None:
    answers = {
        _ALL: api_server.listed(resources.service(), resources.blind_service()),
        _BUDGETS: api_server.listed(resources.budget()),
    }
    with api_server.serving(answers) as address:
        result = program.run("status", "-A", "-o", output, KUBECONFIG=kubeconfig(address))
    document = load(result.stdout)
    expected = [resources.service(), resources.blind_service()]
    for one in expected:
        del one["metadata"]["managedFields"]
    assert (result.exit_code, result.stderr) == (0, "")
    assert document["services"] == expected
    assert document["clusterBudgets"] == [resources.budget()]
    assert {key: document[key] for key in ("cluster", "currency", "costPerHour", "blind")} == {
        "cluster": "eu-1",
        "currency": "USD",
        "costPerHour": "2.372",
        "blind": False,
    }
    assert [(one["subject"], one["aspect"]) for one in document["attention"]] == [
        ("vision/vision", "Ready"),
        ("vision/vision", "MetricsAvailable"),
    ]


@pytest.mark.parametrize("output", ["table", "json"])
def test_metrics_of_no_service_at_all_is_blind(kubeconfig: Any, output: str) -> None:
    answers = {
        _ALL: api_server.listed(resources.blind_service(), resources.unobserved()),
        _BUDGETS: api_server.listed(),
    }
    with api_server.serving(answers) as address:
        result = program.run("status", "-A", "-o", output, KUBECONFIG=kubeconfig(address))
    assert result.exit_code == 3


def test_no_service_is_fine_and_the_next_step_is_named_beside_the_answer(kubeconfig: Any) -> None:
    answers = {_SHOP: api_server.listed(), _BUDGETS: api_server.listed()}
    with api_server.serving(answers) as address:
        result = program.run("status", program="kubectl farthing", KUBECONFIG=kubeconfig(address))
    assert program.answer(result) == (
        0,
        "eu-1  0 services  USD 0.00/h\n",
        "No InferenceService in namespace shop. Next: kubectl farthing plan -f FILE, then kubectl "
        "apply -f FILE; all namespaces: kubectl farthing status -A\n",
    )


def test_a_name_that_does_not_exist_is_an_error(kubeconfig: Any) -> None:
    with api_server.serving({f"{_SHOP}/gone": api_server.missing("gone")}) as address:
        result = program.run("status", "gone", KUBECONFIG=kubeconfig(address))
    assert program.answer(result) == (
        1,
        "",
        'Error: inferenceservices.farthing.dev "gone" not found\n',
    )


@pytest.mark.parametrize(
    ("answer", "problem", "next_step"),
    [
        (
            (404, {"message": "page not found"}),
            "does not know the resources of farthing.dev",
            "install them with: kubectl apply -k crds",
        ),
        (
            (403, {"message": "someone cannot list"}),
            "refuses to tell: someone cannot list",
            "ask for get and list of the resources of farthing.dev",
        ),
    ],
    ids=["unknown", "forbidden"],
)
def test_what_the_api_server_refuses_is_one_line_and_a_next_step(
    kubeconfig: Any, answer: Any, problem: str, next_step: str
) -> None:
    with api_server.serving({_ALL: answer}) as address:
        result = program.run("status", "-A", KUBECONFIG=kubeconfig(address))
        expected = f"Error: {address} {problem}\nNext: {next_step}\n"
    assert program.answer(result) == (1, "", expected)


def test_an_answer_that_is_no_json_is_an_error(kubeconfig: Any) -> None:
    with api_server.serving({_ALL: (200, b"<html>")}) as address:
        result = program.run("status", "-A", KUBECONFIG=kubeconfig(address))
    assert (result.exit_code, len(result.stderr.splitlines())) == (1, 1)


def test_an_api_server_that_does_not_answer_is_an_error(kubeconfig: Any) -> None:
    with api_server.serving({}) as address:
        gone = kubeconfig(address)
    result = program.run("status", KUBECONFIG=gone)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: the API server {address} does not answer: ")
    assert result.stderr.splitlines()[1:] == [
        "Next: check that the cluster runs and that KUBECONFIG names it"
    ]


def test_without_a_kubeconfig_the_next_step_is_named(tmp_path: pathlib.Path) -> None:
    result = program.run("status", KUBECONFIG=str(tmp_path / "none"))
    assert program.answer(result) == (
        1,
        "",
        "Error: no access to a cluster: Invalid kube-config file. No configuration found.\n"
        "Next: export KUBECONFIG=FILE; a local cluster prints its own with: farthing local "
        "kubeconfig\n",
    )


def test_a_context_that_is_not_there_is_refused_with_those_that_are(kubeconfig: Any) -> None:
    result = program.run("status", "--context", "eu-3", KUBECONFIG=kubeconfig("http://127.0.0.1:1"))
    assert program.answer(result) == (
        2,
        "",
        "Error: --context: 'eu-3' is refused; allowed: the contexts of the kubeconfig: eu-1, eu-2\n",
    )


def test_a_name_in_all_namespaces_is_refused() -> None:
    assert program.answer(program.run("status", "x", "-A")) == (
        2,
        "",
        "Error: -A: refused beside the name 'x'; allowed: a NAME in one namespace, or -A\n",
    )
