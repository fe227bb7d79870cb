"""What the environment asks of the demo, checked before anything starts."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.demo import errors

from farthing_local import paths

_LATER = {
    "kind": "a cluster that kind makes",
    "current": "the cluster of your kubeconfig",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Where the demo's cluster lives, and whether it stays when the demo ends."""

    home: pathlib.Path
    models: pathlib.Path
    images: pathlib.Path
    lock: pathlib.Path
    kept: pathlib.Path
    keep: bool


def read(environment: Mapping[str, str]) -> Settings:
    """The settings of this run. Raises RefusedError."""
    _check_cluster(environment.get("CLUSTER", ""))
    keep = environment.get("DEMO_KEEP", "")
    if keep not in ("", "0", "1"):
        raise errors.RefusedError(
            f'DEMO_KEEP: "{keep[:40]}" is not allowed; 0 or 1.',
            next_step="Run: DEMO_KEEP=1 make demo.",
        )
    cache = paths.cache_directory()
    return Settings(
        # A short name: the path of a socket in it may have 107 characters.
        home=cache / "demo",
        models=cache / "image",
        images=cache / "demo-images.yaml",
        lock=cache / "demo.lock",
        kept=cache / "demo.kept",
        keep=keep == "1",
    )


def _check_cluster(wanted: str) -> None:
    if wanted in ("", "local"):
        return
    if wanted in _LATER:
        problem = f"CLUSTER={wanted} ({_LATER[wanted]}) is not supported yet; CLUSTER=local is."
    else:
        problem = f'CLUSTER: "{wanted[:40]}" is not allowed; local is supported.'
    raise errors.RefusedError(problem, next_step="Run: make demo.")
