"""Calling the program as a shell would, in this process."""

from __future__ import annotations

import click.testing

from farthing.cli.main import farthing


def run(
    *arguments: str, program: str = "farthing", stdin: str | bytes | None = None, **environment: str
) -> click.testing.Result:
    """Exit code, stdout and stderr of one call; an exception that is no exit is raised."""
    settings = {"NO_COLOR": "", "TERM": "xterm", "FARTHING_CURRENCY": "", **environment}
    result = click.testing.CliRunner().invoke(
        farthing, list(arguments), prog_name=program, input=stdin, env=settings
    )
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def answer(result: click.testing.Result) -> tuple[int, str, str]:
    return result.exit_code, result.stdout, result.stderr
