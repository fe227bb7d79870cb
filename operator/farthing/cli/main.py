"""The program: a group whose commands are imported when they are called, so that help and completion answer at once."""

from __future__ import annotations

import importlib

import click

from farthing.cli import options

# Command, the module and name it comes from, and its line in the overview.
_COMMANDS = {
    "status": (
        "farthing.cli.status",
        "status",
        "Show services with their latency, queue and money.",
    ),
    "explain": ("farthing.cli.explain", "explain", "Show why a service has the replicas it has."),
    "plan": ("farthing.cli.plan", "plan", "Show what files would cost, before they are applied."),
    "local": ("farthing_local.commands", "local", "Run a real control plane on this machine."),
    "completion": ("farthing.cli.completion", "completion", "Print the completion of a shell."),
    "version": ("farthing.cli.version", "version", "Print the version."),
}


class _LazyGroup(click.Group):
    """Knows its commands by name and imports only the one that is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, name, _ = _COMMANDS[cmd_name]
        found = getattr(importlib.import_module(module), name)
        return found if isinstance(found, click.Command) else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, _, line) in _COMMANDS.items()])

    def get_help(self, ctx: click.Context) -> str:
        return options.as_called(super().get_help(ctx), ctx)


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.pass_context
def farthing(ctx: click.Context) -> None:
    """Serve models on Kubernetes within a latency objective and a budget.

    \b
    Examples:
      farthing status -A
      farthing explain sentiment -n shop
      farthing plan -f manifests/ --requests-per-second 40

    Answers go to stdout, progress and hints to stderr. Exit codes: 0 fine, 1 error, 2 refused
    input, 3 blind (there are services, and none has metrics).
    """
    options.honor_no_color(ctx)


def main() -> None:
    """`farthing`."""
    farthing(prog_name="farthing")


def kubectl_main() -> None:
    """`kubectl farthing`: kubectl finds the program by its name, kubectl-farthing."""
    farthing(prog_name="kubectl farthing")


if __name__ == "__main__":
    main()
