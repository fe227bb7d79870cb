"""`farthing completion`: the script that lets a shell complete commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from farthing.cli import options
from farthing.cli.errors import CommandError

_INSTALL = {
    "bash": "source <(farthing completion bash)    # in ~/.bashrc",
    "zsh": "source <(farthing completion zsh)    # in ~/.zshrc, after compinit",
    "fish": "farthing completion fish > ~/.config/fish/completions/farthing.fish",
}


@click.command(cls=options.Command)
@click.argument("shell", type=click.Choice(sorted(_INSTALL)))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script of a SHELL; how to install it is said on stderr.

    \b
    Examples:
      source <(farthing completion bash)
      source <(farthing completion zsh)
      farthing completion fish > ~/.config/fish/completions/farthing.fish
    """
    found = get_completion_class(shell)
    if found is None:
        raise CommandError(f"there is no completion for {shell}")
    root = ctx.find_root().command
    # The completed word is the program itself, also where this was called as a kubectl plugin.
    click.echo(found(root, {}, "farthing", "_FARTHING_COMPLETE").source())
    click.echo(f"Install it with: {_INSTALL[shell]}", err=True)
