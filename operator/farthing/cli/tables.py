"""Aligned columns as kubectl prints them, with colours that only repeat what the words say."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import click

GAP = "  "


def columns(
    heading: Sequence[str], rows: Sequence[Sequence[str]], right: Collection[str] = ()
) -> list[str]:
    """The lines of a table; columns whose heading is in `right` are aligned to the right."""
    lines = (heading, *rows)
    widths = [
        max(len(click.unstyle(cell)) for cell in column) for column in zip(*lines, strict=True)
    ]
    to_right = [title in right for title in heading]
    return [
        GAP.join(
            _padded(cell, width, right_aligned)
            for cell, width, right_aligned in zip(line, widths, to_right, strict=True)
        ).rstrip()
        for line in lines
    ]


def _padded(cell: str, width: int, right_aligned: bool) -> str:
    space = " " * (width - len(click.unstyle(cell)))
    return space + cell if right_aligned else cell + space


def good(text: str) -> str:
    return click.style(text, fg="green")


def bad(text: str) -> str:
    return click.style(text, fg="red")


def doubtful(text: str) -> str:
    return click.style(text, fg="yellow")


def heading(text: str) -> str:
    return click.style(text, bold=True)
