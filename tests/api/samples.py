"""The sample files of `crds/`, as documents and as what they promise."""

from __future__ import annotations

import pathlib
from typing import Any

import yaml

CRDS = pathlib.Path(__file__).parents[2] / "crds"
VALID = sorted((CRDS / "samples" / "valid").glob("*.yaml"))
INVALID = sorted((CRDS / "samples" / "invalid").glob("*.yaml"))
_MARK = "# refused: "


def document(path: pathlib.Path) -> dict[str, Any]:
    """The one document of a file."""
    loaded = yaml.safe_load(path.read_text())
    assert isinstance(loaded, dict)
    return loaded


def named(name: str) -> dict[str, Any]:
    """A valid sample by its name."""
    return document(CRDS / "samples" / "valid" / f"{name}.yaml")


def refusals(path: pathlib.Path) -> list[str]:
    """What the message about an invalid sample must contain."""
    lines = path.read_text().splitlines()
    assert lines[0].startswith(_MARK), f"{path.name} must say first what refuses it"
    return [line.removeprefix(_MARK) for line in lines if line.startswith(_MARK)]


def name_of(path: pathlib.Path) -> str:
    """The name of a sample in the test report."""
    return path.stem
