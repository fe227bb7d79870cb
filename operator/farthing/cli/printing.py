"""Documents as JSON and YAML on stdout."""

from __future__ import annotations

import json
from typing import Any

import click


def document(content: Any, output: str) -> None:
    """One document, keys in the order they were given, so that the same answer prints the same bytes."""
    if output == "json":
        click.echo(json.dumps(content, indent=2, ensure_ascii=False))
        return
    import yaml

    click.echo(
        yaml.dump(content, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True), nl=False
    )
