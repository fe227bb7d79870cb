"""From the names of files to the answer of `farthing plan`."""

from __future__ import annotations

from pathlib import Path

import click
from pydantic import ValidationError

from farthing.cli import assumptions, errors, manifests, plan_view, settling
from farthing.cli.manifests import Manifests
from farthing.cli.plan_view import Answer


def answer(
    names: tuple[str, ...],
    observation_file: Path | None,
    at: str | None,
    requests_per_second: float | None,
    *,
    currency: str,
) -> Answer:
    """What the operator would decide. Raises RefusedInputError with one line per problem."""
    files = _read(names)
    assumed = (
        assumptions.Assumptions()
        if observation_file is None
        else assumptions.read(observation_file)
    )
    source, stated = ("--at", at) if at else (f"{observation_file}: at", assumed.at)
    instant = assumptions.DEFAULT_AT if stated is None else assumptions.instant(stated, source)
    try:
        decided = settling.decide(files, assumed, instant, requests_per_second)
    except settling.MismatchError as mismatch:
        raise errors.RefusedInputError(
            [f"{observation_file}: {problem}" for problem in mismatch.problems]
        ) from mismatch
    try:
        return plan_view.answer(files, decided, currency)
    except ValidationError as error:
        # The record is the operator's own, and its figures have room for 12 digits before the point.
        raise errors.RefusedInputError(
            f"{', '.join(names)}: the costs that follow are refused; allowed: prices and counts "
            "that multiply to less than 1000000000000"
        ) from error


def _read(names: tuple[str, ...]) -> Manifests:
    files = manifests.read(names)
    for one in files.skipped:
        click.echo(f"Skipped, since it is no resource of Farthing: {one}", err=True)
    if not files.resources.services:
        raise errors.RefusedInputError(
            f"{', '.join(names)}: holds no InferenceService; allowed: files with at least one",
            "give the folder or file that holds it with -f",
        )
    return files
