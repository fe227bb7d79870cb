"""python -m farthing_local.agent: be the nodes of a local cluster."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import logging
import pathlib
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from farthing_local.agent import agent
from farthing_local.agent.access import InvalidKubeconfigError
from farthing_local.agent.settings import InvalidSettingError


def arguments(argv: list[str]) -> agent.AgentSettings:
    parser = argparse.ArgumentParser(prog="python -m farthing_local.agent", description=__doc__)
    for option, meaning in (
        ("--kubeconfig", "how to reach the API server"),
        ("--nodes", "pools of nodes to register, a YAML file"),
        ("--images", "local programs that stand for images, a YAML file"),
        ("--state", "folder for logs, volumes and the control socket agent.sock"),
        ("--certificate", "serving certificate of the kubelet interface"),
        ("--key", "its key"),
        ("--client-ca", "authority whose clients may ask for logs"),
    ):
        parser.add_argument(option, required=True, type=pathlib.Path, help=meaning)
    # Absolute: processes of pods are given these paths and run in folders of their own.
    chosen = {key: path.absolute() for key, path in vars(parser.parse_args(argv)).items()}
    return agent.AgentSettings(**chosen)


async def _until_signal(wanted: agent.AgentSettings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await agent.run(wanted, stop)


def _runner() -> Callable[[Coroutine[Any, Any, None]], None]:
    """uvloop where it is installed: the same program with half the work per connection."""
    try:
        uvloop = importlib.import_module("uvloop")
    except ModuleNotFoundError:
        return asyncio.run
    return uvloop.run  # type: ignore[no-any-return]


def main(argv: list[str]) -> int:
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s"
    )
    wanted = arguments(argv)
    try:
        _runner()(_until_signal(wanted))
    except (InvalidSettingError, InvalidKubeconfigError) as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 2
    except (agent.CannotRunError, OSError) as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
