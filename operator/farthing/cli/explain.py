"""`farthing explain`: why a service has the replicas it has."""

from __future__ import annotations

import click

from farthing.cli import errors, explain_view, money, options, printing
from farthing.cli.status import SERVICES
from farthing.kube import documents


@click.command(cls=options.Command)
@click.argument("name")
@options.cluster_options
@options.output_option
@options.color_option
@click.pass_context
def explain(
    ctx: click.Context,
    name: str,
    namespace: str | None,
    context_name: str | None,
    output: str,
) -> None:
    """Show the last decision on a service: the plans weighed, the one chosen, and what would reverse it.

    The record is the one in the status of the InferenceService; json and yaml print it as it is.

    \b
    Examples:
      farthing explain sentiment -n shop
      farthing explain sentiment -n shop -o wide
      farthing explain sentiment -n shop -o yaml
    """
    from farthing.cli import cluster  # late: the client of Kubernetes is slow to import

    currency = money.currency()
    connected = cluster.connect(context_name)
    place = namespace or connected.namespace
    service = connected.item(SERVICES, place, name)
    decision = documents.part(service, "status", "decision")
    if not decision:
        raise errors.MissingError(
            f"nothing was decided yet on {place}/{name}: its status holds no decision",
            f"{options.program(ctx)} status {name} -n {place}",
        )
    if output in ("json", "yaml"):
        printing.document(decision, output)
    else:
        lines = explain_view.text(service, currency, wide=output == "wide")
        click.echo("\n".join(lines))
