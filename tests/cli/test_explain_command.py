"""`farthing explain`: the record as it is, and as text."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import click
import pytest
import yaml
from tests.cli import api_server, program, resources

from farthing.cli import explain_view

_PATH = f"{api_server.GROUP}/namespaces/shop/inferenceservices/sentiment"


def _lines(service: dict[str, Any], *, wide: bool = False) -> list[str]:
    return [click.unstyle(line) for line in explain_view.text(service, "EUR", wide=wide)]


def test_the_record_reads_from_what_was_chosen_to_what_it_rests_on() -> None:
    short = {"missingPerHour": "0.4", "reason": "ServiceBudget"}
    assert _lines(resources.service(shortfall=short)) == [
        "shop/sentiment  d-20481  2026-10-18 14:02:10Z  l4-reserved 2, l4-spot 1  EUR 1.186/h  "
        "QueueAboveTarget",
        "Because        3 replicas for 52.0 requests/s (48.0 now, 14 queued)",
        "OPTION                     P99 MS    EUR/H  RESULT",
        "l4-reserved 2, l4-spot 1      640    1.186  CHOSEN: cheapest mix that meets the SLO "
        "within the limits",
        "l4-on-demand 3                640     2.10  rejected: 0.914 per hour dearer",
        "cpu-spot (int8)           unknown  unknown  rejected: BelowAccuracyFloor",
        "Bound by       Demand",
        "Budget         EUR 10.015333333 spent of 30.00 per Day (33%), forecast 21.8244 (73%)",
        "Short          EUR 0.40/h more would serve what is left (ServiceBudget)",
        "Reverses when  adds one above 57.0 requests/s; removes one below 38.0 requests/s",
        "Data           load-direct 4 s old; latency missing: no request was answered",
    ]


def test_wide_adds_the_code_of_each_option() -> None:
    assert _lines(resources.service(), wide=True)[2:6] == [
        "OPTION                     P99 MS    EUR/H  CODE                  RESULT",
        "l4-reserved 2, l4-spot 1      640    1.186  CheapestThatMeetsSLO  CHOSEN: cheapest mix that "
        "meets the SLO within the limits",
        "l4-on-demand 3                640     2.10  Dearer                rejected: 0.914 per hour "
        "dearer",
        "cpu-spot (int8)           unknown  unknown  BelowAccuracyFloor    rejected: "
        "BelowAccuracyFloor",
    ]


def test_what_a_record_does_not_say_is_unknown() -> None:
    lines = _lines(resources.service(decision={"id": "d-1"}, spend=None))
    assert lines == [
        "shop/sentiment  d-1  unknown  unknown  EUR unknown/h  unknown",
        "Because        unknown",
        "Bound by       unknown",
        "Budget         EUR unknown spent of 30.00 per Day (unknown), forecast unknown (unknown)",
        "Reverses when  unknown",
        "Data           unknown",
    ]


def test_a_long_reason_is_wrapped_under_itself() -> None:
    decision = {**resources.DECISION, "message": "word " * 60}
    lines = _lines(resources.service(decision=decision))
    assert [line[:17] for line in lines[1:4]] == [
        "Because        wo",
        "               wo",
        "               wo",
    ]


@pytest.mark.parametrize(("output", "load"), [("json", json.loads), ("yaml", yaml.safe_load)])
def test_json_and_yaml_give_the_record_itself(
    tmp_path: pathlib.Path, output: str, load: Any
) -> None:
    with api_server.serving({_PATH: (200, resources.service())}) as address:
        kubeconfig = str(api_server.kubeconfig(tmp_path, address))
        result = program.run("explain", "sentiment", "-o", output, KUBECONFIG=kubeconfig)
    assert (result.exit_code, load(result.stdout), result.stderr) == (0, resources.DECISION, "")


def test_the_currency_is_the_one_that_the_environment_names(tmp_path: pathlib.Path) -> None:
    with api_server.serving({_PATH: (200, resources.service())}) as address:
        kubeconfig = str(api_server.kubeconfig(tmp_path, address))
        result = program.run("explain", "sentiment", KUBECONFIG=kubeconfig, FARTHING_CURRENCY="EUR")
    assert result.stdout == "\n".join(_lines(resources.service())) + "\n"


def test_a_service_without_a_decision_is_an_error_with_the_next_step(
    tmp_path: pathlib.Path,
) -> None:
    with api_server.serving({_PATH: (200, resources.unobserved("sentiment"))}) as address:
        kubeconfig = str(api_server.kubeconfig(tmp_path, address))
        result = program.run("explain", "sentiment", KUBECONFIG=kubeconfig)
    assert program.answer(result) == (
        1,
        "",
        "Error: nothing was decided yet on shop/sentiment: its status holds no decision\n"
        "Next: farthing status sentiment -n shop\n",
    )
