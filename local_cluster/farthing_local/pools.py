"""The files that say which nodes there are and which programs stand for images.

They are checked by the agent's own readers before anything starts, and handed to it as files of
the cluster's home, with ${CHECKOUT}, ${PYTHON} and ${SERVING_PYTHON} filled in.
"""

from __future__ import annotations

import pathlib
import string
import sys
from typing import Any

import yaml

from farthing_local import components, errors, paths
from farthing_local.agent import settings

_DEFAULTS = pathlib.Path(__file__).parent / "defaults"
DEFAULT_NODES = _DEFAULTS / "nodes.yaml"
DEFAULT_IMAGES = _DEFAULTS / "images.yaml"


def check(nodes: pathlib.Path, images: pathlib.Path) -> None:
    """Refuse files that the agent would refuse, before anything has been started."""
    try:
        settings.read_pools(nodes)
        settings.read_images(images)
    except settings.InvalidSettingError as error:
        raise errors.SettingError(f"{error}.") from error


def write(layout: components.Layout, *, nodes: pathlib.Path, images: pathlib.Path) -> None:
    """Put both files into the home, with this machine's interpreters in them."""
    values = {
        "CHECKOUT": str(paths.checkout()),
        "PYTHON": sys.executable,
        "SERVING_PYTHON": str(paths.serving_python()),
    }
    for source, target in ((nodes, layout.nodes), (images, layout.images)):
        document = _filled(yaml.safe_load(source.read_text()), values)
        target.write_text(yaml.safe_dump(document, sort_keys=False))


def _filled(document: Any, values: dict[str, str]) -> Any:
    if isinstance(document, dict):
        return {key: _filled(value, values) for key, value in document.items()}
    if isinstance(document, list):
        return [_filled(value, values) for value in document]
    if isinstance(document, str):
        return string.Template(document).safe_substitute(values)
    return document
