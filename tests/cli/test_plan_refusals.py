"""What `farthing plan` refuses: one line per problem with the file, the field, the value and what is allowed."""

from __future__ import annotations

import pathlib
from itertools import pairwise

import pytest
from tests.api import samples
from tests.cli import program
from tests.cli.test_plan_command import POOLS, SERVICE

_BOMB = "a: &a [0]\n" + "\n".join(
    f"{later}: &{later} [{', '.join([f'*{earlier}'] * 10)}]"
    for earlier, later in pairwise("abcdefghijkl")
)


def _refusal(*arguments: str) -> list[str]:
    result = program.run("plan", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    return result.stderr.splitlines()


@pytest.fixture
def files(tmp_path: pathlib.Path) -> pathlib.Path:
    (tmp_path / "pools.yaml").write_text(POOLS)
    (tmp_path / "service.yaml").write_text(SERVICE)
    return tmp_path


@pytest.mark.parametrize("path", samples.INVALID, ids=samples.name_of)
def test_an_invalid_sample_is_refused_with_its_file_and_the_words_it_promises(
    path: pathlib.Path,
) -> None:
    lines = _refusal("-f", str(path))
    text = "\n".join(lines)
    assert [words for words in samples.refusals(path) if words not in text] == []
    assert [line for line in lines if not line.startswith(f"Error: {path}: ")] == []


def test_every_problem_of_every_document_has_its_own_line(files: pathlib.Path) -> None:
    broken = files / "broken.yaml"
    broken.write_text(
        SERVICE.replace("latencyMilliseconds: 250", "latencyMilliseconds: 0")
        + "---"
        + POOLS.partition("---")[0].replace('"0.284"', "0.284").replace("Spot", "Edge")
    )
    assert _refusal("-f", str(files)) == [
        f"Error: {broken} (document 1): InferenceService shop/sentiment: "
        "spec.slo.latencyMilliseconds: 0 is refused; allowed: an integer from 1 to 600000",
        f'Error: {broken} (document 2): CapacityPool l4-spot: spec.capacityType: "Edge" is '
        "refused; allowed: one of Reserved, OnDemand, Spot",
        f"Error: {broken} (document 2): CapacityPool l4-spot: spec.price.perSlotHour: 0.284 is "
        "refused; allowed: a decimal string with at most 12 digits before the point and 9 after "
        'it, such as "12.00", greater than 0',
    ]


def test_a_name_that_is_given_twice_is_refused_with_both_files(files: pathlib.Path) -> None:
    twice = files / "twice.yaml"
    twice.write_text(SERVICE)
    assert _refusal("-f", str(files)) == [
        f"Error: {twice}: InferenceService shop/sentiment: metadata.name is refused; allowed: a "
        f"name that is given once; {files}/service.yaml has it already"
    ]


def test_the_same_name_in_another_namespace_is_another_service(files: pathlib.Path) -> None:
    (files / "other.yaml").write_text(SERVICE.replace("shop", "test"))
    assert program.run("plan", "-f", str(files)).exit_code == 0


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("a: [1", "is no YAML: while parsing a flow sequence"),
        ("a: 1\na: 2", "is no YAML: the key 'a' is given twice"),
        ("a: 2026-02-31", "is no YAML: day is out of range for month"),
        ("!!python/object/apply:os.system [ls]", "is no YAML: could not determine a constructor"),
        ("x: &a [*a]", "its aliases are refused; allowed: aliases that expand to at most 2000000"),
        (_BOMB, "its aliases are refused; allowed: aliases that expand to at most 2000000"),
        ("[" * 2000, "is no YAML"),
        ("just text", 'document (no name): (root): "just text" is refused'),
        ("{}", "document (no name): apiVersion: missing; allowed: farthing.dev/v1alpha1"),
    ],
)
def test_a_file_that_holds_no_resource_is_refused(
    tmp_path: pathlib.Path, content: str, problem: str
) -> None:
    path = tmp_path / "odd.yaml"
    path.write_text(content)
    lines = _refusal("-f", str(path))
    assert (len(lines), lines[0][: len(f"Error: {path}: {problem}")]) == (
        1,
        f"Error: {path}: {problem}",
    )


def test_a_file_that_is_no_text_is_refused(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "binary.yaml"
    path.write_bytes(b"a: \xff")
    assert _refusal("-f", str(path)) == [
        f"Error: {path}: byte 3 is refused; allowed: text in UTF-8"
    ]


def test_standard_input_that_is_no_text_is_refused() -> None:
    result = program.run("plan", "-f", "-", stdin=b"\xff")
    assert program.answer(result) == (
        2,
        "",
        "Error: standard input: byte 0 is refused; allowed: text in UTF-8\n",
    )


def test_keys_that_are_merged_may_be_given_again(files: pathlib.Path) -> None:
    (files / "theirs.yaml").write_text(
        "apiVersion: v1\nkind: Other\na: &a {x: 1}\nb: &b {<<: *a, x: 2}\nc: {<<: *b, x: 3}"
    )
    assert program.run("plan", "-f", str(files)).exit_code == 0


def test_a_file_that_does_not_exist_is_refused(tmp_path: pathlib.Path) -> None:
    assert _refusal("-f", f"{tmp_path}/none.yaml") == [
        f"Error: {tmp_path}/none.yaml: there is no such file or folder"
    ]


def test_costs_beyond_what_a_record_can_hold_are_refused(files: pathlib.Path) -> None:
    dear = POOLS.replace('"0.284"', '"999999999999"').replace('"0.70"', '"999999999999"')
    (files / "pools.yaml").write_text(dear)
    (files / "service.yaml").write_text(f"{SERVICE}  replicas: 900")
    assert _refusal("-f", str(files)) == [
        f"Error: {files}: the costs that follow are refused; allowed: prices and counts that "
        "multiply to less than 1000000000000"
    ]


def test_files_without_a_service_are_refused_and_the_next_step_is_named(
    files: pathlib.Path,
) -> None:
    (files / "service.yaml").write_text("")
    assert _refusal("-f", str(files)) == [
        f"Error: {files}: holds no InferenceService; allowed: files with at least one",
        "Next: give the folder or file that holds it with -f",
    ]


def test_resources_of_others_are_skipped_and_said(files: pathlib.Path) -> None:
    path = files / "theirs.yaml"
    path.write_text("{apiVersion: serving.kserve.io/v1beta1, kind: InferenceService, metadata: {}}")
    result = program.run("plan", "-f", str(files))
    assert (result.exit_code, result.stderr) == (
        0,
        f"Skipped, since it is no resource of Farthing: {path}: serving.kserve.io/v1beta1 "
        "InferenceService\n",
    )


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("[1]", "[1] is refused; allowed: one mapping with at, load, replicas, namespaces"),
        (
            "load: {shop/sentiment: {rps: 1, requestsPerSecond: 1}}",
            "load.shop/sentiment.rps: 1 is refused; allowed: one of requestsPerSecond, queued",
        ),
        ("replicas: {shop/sentiment: 3}", "replicas.shop/sentiment: 3 is refused; allowed: a list"),
        (_BOMB, "its aliases are refused"),
        ("", "[] is refused; allowed: one mapping with at, load, replicas, namespaces"),
        ("laod: {}", "laod: {} is refused; allowed: one of at, load, replicas, namespaces"),
        (
            "load: {shop/sentiment: {requestsPerSecond: -1}}",
            "load.shop/sentiment.requestsPerSecond: -1 is refused; allowed: a number of at least 0",
        ),
        (
            "load: {shop/sentiment: {requestsPerSecond: .nan}}",
            "load.shop/sentiment.requestsPerSecond: nan is refused; allowed: a number from 0 to "
            "10000000",
        ),
        (
            "load: {shop/sentiment: {}}",
            "load.shop/sentiment.requestsPerSecond: missing; allowed: a value, which is required",
        ),
        (
            "load: {shop/other: {requestsPerSecond: 1}}",
            "load.shop/other: is refused; allowed: the services of the files: shop/sentiment",
        ),
        (
            "load: {shop/sentiment: {requestsPerSecond: '4'}}",
            "load.shop/sentiment.requestsPerSecond: '4' is refused; allowed: a number",
        ),
        (
            "replicas: {shop/sentiment: [{pool: l4, count: 1}]}",
            "replicas.shop/sentiment[0].pool: 'l4' is refused; allowed: l4-spot, l4-on-demand",
        ),
        (
            "replicas: {shop/sentiment: [{pool: l4-spot, count: 1, variant: int8}]}",
            "replicas.shop/sentiment[0].variant: 'int8' is refused; allowed: default",
        ),
        (
            "replicas: {shop/sentiment: [{pool: l4-spot, count: 1, ready: 2}]}",
            "replicas.shop/sentiment[0].ready: 2 is refused; allowed: at most count, which is 1",
        ),
        (
            "replicas: {shop/sentiment: [{pool: l4-spot, count: 1}, {pool: l4-spot, count: 2}]}",
            "replicas.shop/sentiment: variant 'default' in pool 'l4-spot' is refused; allowed: "
            "each variant once in a pool",
        ),
        (
            "at: yesterday",
            "at: 'yesterday' is refused; allowed: an instant with its zone, such as "
            "2026-01-01T00:00:00Z",
        ),
        (
            "at: 2026-01-01",
            "at: '2026-01-01' is refused; allowed: an instant with its zone, such as "
            "2026-01-01T00:00:00Z",
        ),
        ("at: [", "is no YAML: while parsing a flow node"),
    ],
)
def test_an_observation_that_cannot_be_is_refused(
    files: pathlib.Path, content: str, problem: str
) -> None:
    path = files / "seen"
    path.write_text(content)
    lines = _refusal("-f", str(files), "--observation", str(path))
    assert (len(lines), lines[0][: len(f"Error: {path}: {problem}")]) == (
        1,
        f"Error: {path}: {problem}",
    )


@pytest.mark.parametrize("value", ["-1", "nan", "many", "1e99"])
def test_a_rate_that_cannot_be_is_refused(files: pathlib.Path, value: str) -> None:
    text = "\n".join(_refusal("-f", str(files), "--requests-per-second", value))
    assert ("--requests-per-second" in text, "Traceback" in text) == (True, False)


def test_an_instant_that_cannot_be_is_refused(files: pathlib.Path) -> None:
    assert _refusal("-f", str(files), "--at", "2026-13-01") == [
        "Error: --at: '2026-13-01' is refused; allowed: an instant with its zone, such as "
        "2026-01-01T00:00:00Z"
    ]
