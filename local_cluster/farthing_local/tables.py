"""Status as text: columns as kubectl prints them, and JSON keys as Kubernetes spells them. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from farthing_local.inspection import ClusterStatus


def status(seen: ClusterStatus) -> str:
    """Two tables: components and nodes."""
    components = columns(
        ("COMPONENT", "PID", "PORT", "MEMORY", "HEALTH"),
        [
            (
                one.name,
                str(one.pid),
                "-" if one.port is None else str(one.port),
                f"{one.rss_mib:.0f} MiB",
                one.problem or "healthy",
            )
            for one in seen.components
        ],
    )
    nodes = columns(
        ("NODE", "POOL", "CAPACITY", "READY", "GPUS", "TAINTS"),
        [
            (
                one.name,
                one.pool or "-",
                one.capacity_type or "-",
                str(one.ready),
                one.gpus,
                ",".join(one.taints) or "-",
            )
            for one in seen.nodes
        ],
    )
    heading = f"{seen.server}   {seen.home}"
    return "\n\n".join([heading, components, *([nodes] if seen.nodes else ["No nodes."])])


def columns(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Aligned columns with three spaces between them, none at the end of a line."""
    widths = [max(map(len, column)) for column in zip(heading, *rows, strict=True)]
    return "\n".join(
        "   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (heading, *rows)
    )


def camel_case(document: Any) -> Any:
    """The same document with its keys in camelCase; is_ready becomes ready."""
    if isinstance(document, dict):
        return {_camel(key): camel_case(value) for key, value in document.items()}
    if isinstance(document, list | tuple):
        return [camel_case(one) for one in document]
    return document


def _camel(key: str) -> str:
    return re.sub(r"_(\w)", lambda found: found[1].upper(), key.removeprefix("is_"))
