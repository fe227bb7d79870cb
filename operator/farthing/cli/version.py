"""`farthing version`."""

from __future__ import annotations

from importlib import metadata

import click

from farthing.cli import options, printing

API_VERSION = "farthing.dev/v1alpha1"


def program_version() -> str:
    """The version that is installed; a checkout that is not installed has none."""
    try:
        return metadata.version("farthing")
    except metadata.PackageNotFoundError:
        return "unknown"


@click.command(cls=options.Command)
@click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json", "yaml"]),
    default="table",
    show_default=True,
    help="How to print it.",
)
def version(output: str) -> None:
    """Print the version of this program and of the resources it reads.

    \b
    Examples:
      farthing version
      farthing version -o json
    """
    if output == "table":
        click.echo(f"farthing {program_version()} (resources {API_VERSION})")
    else:
        printing.document({"version": program_version(), "resources": API_VERSION}, output)
