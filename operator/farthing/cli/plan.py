"""`farthing plan`: what the operator would decide about files, without a cluster."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import click

from farthing.cli import errors, money, options, printing

_HIGHEST_RPS = 10_000_000


class _Rate(click.FloatRange):
    """A number in the range: nan compares with nothing and would pass as one."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        rate = float(super().convert(value, param, ctx))
        if math.isnan(rate):
            self.fail(f"{value} is not in the range {self._describe_range()}.", param, ctx)
        return rate


@click.command(cls=options.Command)
@click.option(
    "-f",
    "--filename",
    "names",
    multiple=True,
    required=True,
    help="File or folder of resources, - for standard input; may be given more than once.",
)
@click.option(
    "--observation",
    "observation_file",
    type=click.Path(path_type=Path),
    help="YAML or JSON file with what is assumed to be seen: at, load, replicas, namespaces.",
)
@click.option(
    "--requests-per-second",
    type=_Rate(0, _HIGHEST_RPS),
    help="Steady traffic of each service for which the observation file has no load.",
)
@click.option(
    "--at",
    metavar="INSTANT",
    help="Instant of the decision, such as 2026-01-01T00:00:00Z, which is also what it is without "
    "this option and without one in the observation file.",
)
@click.option(
    "--check",
    is_flag=True,
    help="Exit with 2 where a service is short of what it needs or a forecast is above its budget.",
)
@options.output_option
@options.color_option
@click.pass_context
def plan(
    ctx: click.Context,
    names: tuple[str, ...],
    observation_file: Path | None,
    requests_per_second: float | None,
    at: str | None,
    check: bool,
    output: str,
) -> None:
    """Show what the operator would decide about resources in files, and what that costs.

    No cluster is needed, nothing is changed, and the same input gives the same bytes. Services
    for which no load is given are planned for no traffic, and the answer says so.

    \b
    Examples:
      farthing plan -f manifests/
      farthing plan -f pools.yaml -f sentiment.yaml --requests-per-second 40
      farthing plan -f manifests/ --observation seen.yaml -o json
    \b
    An observation file:
      at: 2026-01-01T00:00:00Z
      load:
        shop/sentiment: {requestsPerSecond: 40, queued: 3}
      replicas:            # without it, the plan that steady traffic settles at is shown
        shop/sentiment: [{pool: l4-spot, count: 2, ready: 1}]
      namespaces:
        shop: {labels: {team: shop}}
    """
    from farthing.cli import plan_view, planning  # late: the planner is slow to import

    answer = planning.answer(
        names, observation_file, at, requests_per_second, currency=money.currency()
    )
    if output in ("json", "yaml"):
        printing.document(plan_view.document(answer), output)
    else:
        click.echo(plan_view.text(answer, wide=output == "wide"))
    if check and answer.breaches:
        ctx.exit(errors.REFUSED)
