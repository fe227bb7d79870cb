"""`farthing local`: the command line of the local cluster.

A group that the main command line mounts; `python -m farthing_local` runs it alone. What a command
answers goes to stdout, progress and next steps to stderr. Exit codes: 0 fine, 1 error, 2 refused.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pathlib
import shlex
import signal
import sys
from collections.abc import Iterator, Sequence
from types import FrameType

import click

from farthing_local import build as builder
from farthing_local import cluster, errors, inspection, paths, pools, progress, recipes, tables
from farthing_local.components import Layout

_REFUSED = 2
_FILE = click.Path(exists=True, dir_okay=False, path_type=pathlib.Path)


@contextlib.contextmanager
def _reported() -> Iterator[None]:
    """One clear line for what a person can mend; Ctrl-C and SIGTERM clean up in the same way."""
    before = signal.signal(signal.SIGTERM, _terminated)
    try:
        yield
    except (errors.SettingError, errors.PlatformError) as error:
        progress.say(f"Error: {error}")
        sys.exit(_REFUSED)
    except errors.LocalClusterError as error:
        progress.say(f"Error: {error}")
        sys.exit(1)
    except KeyboardInterrupt:
        progress.say("Interrupted: nothing half-done is left. Run the same command again.")
        sys.exit(128 + signal.SIGINT)
    finally:
        signal.signal(signal.SIGTERM, before)


def _terminated(number: int, _: FrameType | None) -> None:
    sys.exit(128 + number)


@click.group(name="local")
def local() -> None:
    """A real Kubernetes control plane on this machine, without containers.

    \b
    Start it, look at it, use it, end it:
      farthing local up
      farthing local status
      farthing local kubectl -- get nodes
      farthing local down

    The state of a cluster is one folder, FARTHING_LOCAL_HOME (by default the folder `local` of the
    cache). Give another folder to run a second cluster beside the first.
    """


@local.command()
@click.option(
    "--nodes",
    type=_FILE,
    default=pools.DEFAULT_NODES,
    help="Pools of nodes, a YAML file; without it five pools with ten GPUs.",
)
@click.option(
    "--images",
    type=_FILE,
    default=pools.DEFAULT_IMAGES,
    help="The program that stands for each image, a YAML file; without it Farthing's own images.",
)
@click.option("--audit", is_flag=True, help="Log every write request to audit.log of the home.")
def up(nodes: pathlib.Path, images: pathlib.Path, audit: bool) -> None:
    """Start the cluster and wait until it is healthy.

    The first time its programs are built, which takes about ten minutes on two cores; later it is
    up in seconds. A cluster that runs already is left as it is.

    \b
    Examples:
      farthing local up
      farthing local up --nodes my-pools.yaml
      FARTHING_LOCAL_HOME=/tmp/second farthing local up
    """
    with _reported():
        running = cluster.up(
            cluster.Wanted(
                home=paths.home_directory(), nodes=nodes, images=images, audit=audit, agent=True
            )
        )
    if not running.is_new:
        progress.say(f"It runs already, with the settings of its start: {running.server}")
    kubeconfig = shlex.quote(str(running.kubeconfig))
    progress.say(
        f"Kubernetes {recipes.CONTROL_PLANE.version} answers at {running.server}\n"
        f"  use it:    export KUBECONFIG={kubeconfig}\n"
        "             farthing local kubectl -- get nodes\n"
        "  look:      farthing local status\n"
        "  end it:    farthing local down"
    )


@local.command()
def down() -> None:
    """End the cluster and remove its state; the programs that were built are kept.

    Works after a crash too: what is still running of the cluster is found and ended.

    \b
    Example:
      farthing local down
    """
    home = paths.home_directory()
    with _reported():
        stopped = cluster.down(home)
    progress.say(f"Ended: {', '.join(stopped)}." if stopped else f"Nothing ran in {home}.")


@local.command()
@click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="How to print it.",
)
def status(output: str) -> None:
    """Show the components with their health, and the nodes.

    Exits with 1 where no cluster runs or a part of it is not healthy.

    \b
    Examples:
      farthing local status
      farthing local status -o json
    """
    with _reported():
        seen = inspection.status(paths.home_directory())
    if output == "json":
        document = {**dataclasses.asdict(seen), "home": str(seen.home), "healthy": seen.is_healthy}
        click.echo(json.dumps(tables.camel_case(document), indent=2))
    elif seen.server is None:
        progress.say(f"No local cluster in {seen.home}. Start one with: farthing local up")
    else:
        click.echo(tables.status(seen))
    sys.exit(0 if seen.is_healthy else 1)


@local.command()
def kubeconfig() -> None:
    """Print the path of the cluster's kubeconfig.

    \b
    Example:
      export KUBECONFIG=$(farthing local kubeconfig)
    """
    with _reported():
        click.echo(_running_layout().kubeconfig)


@local.command()
@click.argument("node", required=False)
@click.option("--pool", help="Interrupt one node of this pool.")
@click.option(
    "--notice-seconds",
    type=click.FloatRange(min=0, max=86_400),
    default=30.0,
    show_default=True,
    help="Time between the notice, a taint, and the loss of the node.",
)
@click.option(
    "--replace/--no-replace", default=True, show_default=True, help="Whether a new node comes."
)
@click.option(
    "--replace-after-seconds",
    type=click.FloatRange(min=0, max=86_400),
    default=30.0,
    show_default=True,
    help="Time between the loss and the new node.",
)
def interrupt(
    node: str | None,
    pool: str | None,
    notice_seconds: float,
    replace: bool,
    replace_after_seconds: float,
) -> None:
    """Take a node away as a cloud takes spot capacity: a notice first, then the loss.

    Names a NODE, or a pool, or nothing for any node of a Spot pool.

    \b
    Examples:
      farthing local interrupt
      farthing local interrupt l4-spot-0 --notice-seconds 10
      farthing local interrupt --pool l4-spot --no-replace
    """
    with _reported():
        answer = inspection.interrupt(
            paths.home_directory(),
            {
                "node": node,
                "pool": pool,
                "noticeSeconds": notice_seconds,
                "replace": replace,
                "replaceAfterSeconds": replace_after_seconds,
            },
        )
    click.echo(json.dumps(answer))


@local.command()
@click.argument("names", nargs=-1, type=click.Choice([*recipes.RECIPES, "all"]))
def build(names: Sequence[str]) -> None:
    """Build the programs now, so that a later `up` starts at once.

    Without a name the control plane. Each is built once per version into the cache. Go comes from
    the PATH, or from a Python package where there is none. All that Go writes stays in the cache
    and is removed afterwards, unless GOCACHE and GOMODCACHE name folders of yours.

    \b
    Examples:
      farthing local build
      farthing local build kwok prometheus
    """
    chosen = recipes.RECIPES if "all" in names else (names or (recipes.CONTROL_PLANE.name,))
    with _reported():
        folders = builder.build([recipes.RECIPES[name] for name in dict.fromkeys(chosen)])
    for folder in folders.values():
        click.echo(folder)


@local.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def kubectl(arguments: Sequence[str]) -> None:
    """Run kubectl against the cluster; it is built with it and needs no installation.

    \b
    Examples:
      farthing local kubectl -- get nodes
      farthing local kubectl -- apply -k manifests/overlays/local
    """
    with _reported():
        layout = _running_layout()
        program = builder.program(recipes.CONTROL_PLANE, "kubectl")
    environment = {**os.environ, "KUBECONFIG": str(layout.kubeconfig)}
    sys.stdout.flush()
    # Becomes kubectl, so that signals, the terminal and the exit code are its own.
    os.execve(program, [str(program), *arguments], environment)  # noqa: S606


def _running_layout() -> Layout:
    layout = Layout(home=paths.home_directory())
    cluster.require_running(layout)
    return layout
