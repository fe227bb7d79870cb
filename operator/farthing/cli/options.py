"""Options that several commands share, and the command class that names the program as it was called."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Any, TypeVar

import click

Callback = TypeVar("Callback", bound=Callable[..., Any])
FORMATS = ("table", "wide", "json", "yaml")
_EXAMPLE = re.compile(r"(?m)^(\s+(?:source <\()?)farthing ")


class Command(click.Command):
    """A command whose examples start with the name of the program: farthing, or kubectl farthing."""

    def get_help(self, ctx: click.Context) -> str:
        return as_called(super().get_help(ctx), ctx)


def as_called(text: str, ctx: click.Context) -> str:
    """The text with its examples spelled for the program that runs."""
    return _EXAMPLE.sub(rf"\g<1>{program(ctx)} ", text)


def program(ctx: click.Context) -> str:
    """What people type to call this program."""
    return ctx.find_root().info_name or "farthing"


def honor_no_color(ctx: click.Context) -> None:
    """NO_COLOR and dumb terminals get no colours; whether stdout is a terminal is seen to by click."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        ctx.color = False


def output_option(callback: Callback) -> Callback:
    return click.option(
        "-o",
        "--output",
        type=click.Choice(FORMATS),
        default="table",
        show_default=True,
        help="How to print it.",
    )(callback)


def color_option(callback: Callback) -> Callback:
    return click.option(
        "--no-color",
        is_flag=True,
        expose_value=False,
        callback=_without_color,
        help="No colors, as with NO_COLOR set; without a terminal there are none anyway.",
    )(callback)


def cluster_options(callback: Callback) -> Callback:
    """-n and --context, with the meaning that kubectl gives them."""
    callback = click.option("--context", "context_name", help="Context of the kubeconfig to use.")(
        callback
    )
    return click.option(
        "-n", "--namespace", help="Namespace to look in; without it that of the context."
    )(callback)


def _without_color(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        ctx.color = False
