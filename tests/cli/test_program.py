"""The program around the commands: help, names, colors, completion, start-up."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import time
from collections.abc import Callable

import click
import pytest
import yaml
from tests.cli import program

from farthing.cli import main
from farthing.cli.main import farthing

_CHECKOUT = pathlib.Path(__file__).parents[2]
_OWN = ("status", "explain", "plan", "completion", "version")


def _shell(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "farthing.cli.main", *arguments],
        env={**os.environ, "PYTHONPATH": f"{_CHECKOUT / 'operator'}:{_CHECKOUT / 'local_cluster'}"}
        | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("name", _OWN)
@pytest.mark.parametrize("called", ["farthing", "kubectl farthing"])
def test_the_help_of_every_command_has_examples_in_the_name_of_the_program(
    name: str, called: str
) -> None:
    result = program.run(name, "--help", program=called)
    examples = result.stdout.partition("Examples:\n")[2]
    assert (result.exit_code, f"{called} {name}" in examples) == (0, True)


@pytest.mark.parametrize(
    ("entry", "called"), [(main.main, "farthing"), (main.kubectl_main, "kubectl farthing")]
)
def test_each_entry_point_calls_itself_by_its_own_name(
    entry: Callable[[], None],
    called: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["anything", "--help"])
    with pytest.raises(SystemExit) as end:
        entry()
    assert (end.value.code, capsys.readouterr().out.partition(" [")[0]) == (0, f"Usage: {called}")


def test_the_overview_lists_every_command_with_a_line() -> None:
    listed = program.run("--help").stdout.partition("Commands:\n")[2].splitlines()
    assert [line.split()[0] for line in listed] == farthing.list_commands(click.Context(farthing))


def test_the_local_cluster_is_part_of_the_program() -> None:
    result = program.run("local", "--help")
    assert (result.exit_code, "farthing local up" in result.stdout) == (0, True)


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["status", "--nonsense"], ["plan"], ["explain"]]
)
def test_a_wrong_call_is_refused_without_a_traceback(arguments: list[str]) -> None:
    result = program.run(*arguments)
    assert (result.exit_code, result.stdout, "Traceback" in result.stderr) == (2, "", False)


def test_the_version_is_a_line_or_a_document() -> None:
    line, document = program.run("version"), program.run("version", "-o", "json")
    assert line.stdout.endswith(" (resources farthing.dev/v1alpha1)\n")
    assert json.loads(document.stdout)["resources"] == "farthing.dev/v1alpha1"


@pytest.mark.parametrize(
    ("shell", "mark"),
    [
        ("bash", "complete -o nosort -F"),
        ("zsh", "#compdef farthing"),
        ("fish", "complete --no-files"),
    ],
)
def test_completion_prints_the_script_and_says_beside_it_how_to_install_it(
    shell: str, mark: str
) -> None:
    result = program.run("completion", shell)
    assert (result.exit_code, mark in result.stdout) == (0, True)
    assert result.stderr.startswith("Install it with: ")
    assert f"farthing completion {shell}" in result.stderr


def test_a_shell_without_completion_is_refused_with_those_that_have_one() -> None:
    result = program.run("completion", "tcsh")
    assert (result.exit_code, "'bash', 'fish', 'zsh'" in result.stderr) == (2, True)


def test_the_completion_that_is_printed_completes_commands() -> None:
    done = _shell(_FARTHING_COMPLETE="bash_complete", COMP_WORDS="farthing ex", COMP_CWORD="1")
    assert done.stdout == "plain,explain\n"


@pytest.mark.parametrize("currency", ["usd", "DOLLAR", "€", "US$"])
def test_a_currency_that_is_no_code_is_refused(currency: str) -> None:
    result = program.run("plan", "-f", "anything", FARTHING_CURRENCY=currency)
    assert program.answer(result) == (
        2,
        "",
        f"Error: FARTHING_CURRENCY: {currency!r} is refused; allowed: a code of three capital "
        "letters, such as USD\n",
    )


def _colors(*arguments: str, color: bool = True, **environment: str) -> bool:
    path = _CHECKOUT / "crds" / "samples" / "valid"
    result = click.testing.CliRunner().invoke(
        farthing,
        ["plan", "-f", str(path), *arguments],
        color=color,
        env={"NO_COLOR": "", "TERM": "xterm", "FARTHING_CURRENCY": ""} | environment,
    )
    return "\x1b[" in result.stdout


def test_colors_are_for_terminals_that_want_them() -> None:
    shown = (
        _colors(),
        _colors("--no-color"),
        _colors(NO_COLOR="1"),
        _colors(TERM="dumb"),
        _colors(color=False),
    )
    assert shown == (True, False, False, False, False)


def test_yaml_and_json_say_the_same() -> None:
    path = str(_CHECKOUT / "crds" / "samples" / "valid")
    as_json, as_yaml = (
        program.run("plan", "-f", path, "-o", output) for output in ("json", "yaml")
    )
    assert json.loads(as_json.stdout) == yaml.safe_load(as_yaml.stdout)


@pytest.mark.parametrize("arguments", [(), *((name,) for name in _OWN)], ids=" ".join)
def test_help_imports_nothing_that_is_slow_to_import(
    arguments: tuple[str, ...], record_property: Callable[[str, object], None]
) -> None:
    started = time.perf_counter()
    done = _shell(*arguments, "--help", PYTHONPROFILEIMPORTTIME="1")
    record_property("startup_seconds", round(time.perf_counter() - started, 3))
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    slow = {"numpy", "pydantic", "kubernetes", "aiohttp", "yaml", "rich", "farthing_local"}
    assert (done.returncode, imported & slow) == (0, set())
