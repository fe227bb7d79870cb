"""Where things are: the cache, the state of the cluster, the checkout with the Go modules."""

from __future__ import annotations

import os
import pathlib
import platform

from farthing_local import errors

CACHE_VARIABLE = "FARTHING_CACHE"
HOME_VARIABLE = "FARTHING_LOCAL_HOME"
SERVING_PYTHON_VARIABLE = "FARTHING_SERVING_PYTHON"


def cache_directory() -> pathlib.Path:
    """Where binaries and downloads are kept between runs and between checkouts."""
    if chosen := os.environ.get(CACHE_VARIABLE):
        return pathlib.Path(chosen).expanduser().absolute()
    shared = os.environ.get("XDG_CACHE_HOME")
    parent = pathlib.Path(shared) if shared else pathlib.Path.home() / ".cache"
    return parent.absolute() / "farthing"


def home_directory() -> pathlib.Path:
    """Where one cluster keeps its state; another one beside it needs another folder."""
    if chosen := os.environ.get(HOME_VARIABLE):
        return pathlib.Path(chosen).expanduser().absolute()
    return cache_directory() / "local"


def checkout() -> pathlib.Path:
    """The source tree that holds the Go modules; an installed package does not carry them."""
    root = pathlib.Path(__file__).resolve().parents[2]
    if not (root / "local_cluster" / "controlplane" / "go.mod").is_file():
        raise errors.BuildError(
            f"The Go modules of the local cluster are not beside {pathlib.Path(__file__).parent}.",
            next_step="Run from a checkout of the repository.",
        )
    return root


def serving_python() -> pathlib.Path:
    """The interpreter of the environment that has torch; it need not exist."""
    if chosen := os.environ.get(SERVING_PYTHON_VARIABLE):
        return pathlib.Path(chosen).expanduser().absolute()
    return checkout() / ".venv-serving" / "bin" / "python"


def require_loopback_range() -> None:
    """Refuse machines that cannot give each pod an address of its own in 127.0.0.0/8."""
    if platform.system() != "Linux":
        raise errors.PlatformError(
            f"The local cluster needs Linux: {platform.system()} binds only 127.0.0.1 of"
            " 127.0.0.0/8, and every pod needs an address of its own.",
            next_step="Use kind instead: CLUSTER=kind make demo.",
        )
