"""`farthing status`: one look at the services of a cluster."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from farthing.cli import errors, money, options, printing, status_view
from farthing.cli.status_view import Overview

if TYPE_CHECKING:
    from farthing.cli.cluster import Cluster

SERVICES = "inferenceservices"


@click.command(cls=options.Command)
@click.argument("name", required=False)
@options.cluster_options
@click.option("-A", "--all-namespaces", is_flag=True, help="Show the services of all namespaces.")
@options.output_option
@options.color_option
@click.pass_context
def status(
    ctx: click.Context,
    name: str | None,
    namespace: str | None,
    context_name: str | None,
    all_namespaces: bool,
    output: str,
) -> None:
    """Show services with their latency, queue, replicas and money, and what needs somebody.

    What is not known is written as the word unknown. Lines that start with ! need somebody and
    name the next command. Exits with 3 where there are services and none of them has metrics.

    \b
    Examples:
      farthing status
      farthing status -A -o wide
      farthing status sentiment -n shop -o json
    """
    if name and all_namespaces:
        raise errors.RefusedInputError(
            f"-A: refused beside the name {name!r}; allowed: a NAME in one namespace, or -A"
        )
    from farthing.cli import cluster  # late: the client of Kubernetes is slow to import

    currency, program = money.currency(), options.program(ctx)
    connected = cluster.connect(context_name)
    place = None if all_namespaces else namespace or connected.namespace
    seen = _look(connected, place, name)
    if output in ("json", "yaml"):
        printing.document(status_view.document(seen, currency, program), output)
    else:
        click.echo(
            status_view.text(seen, datetime.now(UTC), currency, program, wide=output == "wide")
        )
        _hint(seen, place, program)
    if seen.is_blind:
        ctx.exit(errors.BLIND)


def _look(connected: Cluster, namespace: str | None, name: str | None) -> Overview:
    if name and namespace:
        services = [connected.item(SERVICES, namespace, name)]
    else:
        services = connected.items(SERVICES, namespace)
    budgets, why = None, ""
    try:
        budgets = tuple(connected.items("clusterbudgets"))
    except errors.AccessError as refused:
        # A tenant may see its own services and not the budgets of the cluster.
        why = refused.problems[0]
    return Overview(
        cluster=connected.name, services=tuple(services), budgets=budgets, why_no_budgets=why
    )


def _hint(seen: Overview, namespace: str | None, program: str) -> None:
    if seen.services:
        return
    place = f"in namespace {namespace}" if namespace else "in the cluster"
    click.echo(
        f"No InferenceService {place}. Next: {program} plan -f FILE, then kubectl apply -f FILE"
        + ("" if namespace is None else f"; all namespaces: {program} status -A"),
        err=True,
    )
