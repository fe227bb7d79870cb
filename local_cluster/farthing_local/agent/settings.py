"""The files that tell an agent its nodes and images, read and checked once at the border.

nodes.yaml:   a list of pools {name, capacityType, nodes, labels, taints, startupSeconds,
              node: {cpu, memory, pods, accelerator: {resourceName, model, count}}}
images.yaml:  image reference -> {argv: [...], env: {...}}
"""

from __future__ import annotations

import pathlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from farthing_local.agent.documents import Json

CAPACITY_TYPES = ("Reserved", "OnDemand", "Spot", "OnPremises", "Edge")
TAINT_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_NAME = re.compile(r"^[a-z0-9]([a-z0-9-]{0,50}[a-z0-9])?$")


class InvalidSettingError(Exception):
    """A setting that cannot be used; names the file, the field, the value and what is allowed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accelerator:
    resource_name: str
    model: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeShape:
    """What one node of a pool offers."""

    cpu: str = "8"
    memory: str = "32Gi"
    pods: int = 110
    accelerator: Accelerator | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    name: str
    capacity_type: str
    nodes: int
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[Json, ...] = ()
    shape: NodeShape = field(default_factory=NodeShape)
    # Between the scheduling of a pod and the start of its process: what pulling an image and
    # starting a node would take.
    startup_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)


class _Reader:
    """One mapping of a settings file, which refuses unknown fields and wrong types by name."""

    def __init__(self, where: str, value: Any, allowed: tuple[str, ...]) -> None:
        if not isinstance(value, dict):
            raise InvalidSettingError(f"{where}: is {value!r}, must be a mapping")
        unknown = sorted(str(key) for key in value if key not in allowed)
        if unknown:
            raise InvalidSettingError(
                f"{where}.{unknown[0]}: unknown field, must be one of {', '.join(allowed)}"
            )
        self.where, self.value = where, value

    def text(self, key: str, default: str | None = None) -> str:
        value = self.value.get(key, default)
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if not isinstance(value, str) or not value:
            raise InvalidSettingError(f"{self.where}.{key}: is {value!r}, must be a text")
        return value

    def number(self, key: str, default: float | None = None) -> float:
        value = self.value.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            raise InvalidSettingError(
                f"{self.where}.{key}: is {value!r}, must be a number from 0 up"
            )
        return float(value)

    def count(self, key: str, default: int | None = None) -> int:
        value = self.number(key, default)
        if value != int(value):
            raise InvalidSettingError(f"{self.where}.{key}: is {value!r}, must be a whole number")
        return int(value)

    def one_of(self, key: str, allowed: tuple[str, ...]) -> str:
        value = self.text(key)
        if value not in allowed:
            raise InvalidSettingError(
                f"{self.where}.{key}: is {value!r}, must be one of {', '.join(allowed)}"
            )
        return value

    def texts(self, key: str) -> dict[str, str]:
        value = self.value.get(key) or {}
        if not isinstance(value, dict) or not all(
            isinstance(one, str) for pair in value.items() for one in pair
        ):
            raise InvalidSettingError(f"{self.where}.{key}: is {value!r}, must map texts to texts")
        return value


def read_pools(path: pathlib.Path) -> tuple[Pool, ...]:
    document = _read(path)
    if not isinstance(document, list):
        raise InvalidSettingError(f"{path}: is {type(document).__name__}, must be a list of pools")
    pools = tuple(_pool(f"{path}: pools[{at}]", one) for at, one in enumerate(document))
    names = [pool.name for pool in pools]
    for name in names:
        if names.count(name) > 1:
            raise InvalidSettingError(f"{path}: pool name {name!r} is used more than once")
    return pools


def _pool(where: str, value: Any) -> Pool:
    reader = _Reader(
        where,
        value,
        ("name", "capacityType", "nodes", "labels", "taints", "node", "startupSeconds"),
    )
    name = reader.text("name")
    if not _NAME.match(name):
        raise InvalidSettingError(
            f"{where}.name: is {name!r}, must be at most 52 of a-z, 0-9 and - within"
        )
    taints = reader.value.get("taints") or []
    if not isinstance(taints, list):
        raise InvalidSettingError(f"{where}.taints: is {taints!r}, must be a list")
    return Pool(
        name=name,
        capacity_type=reader.one_of("capacityType", CAPACITY_TYPES),
        nodes=reader.count("nodes"),
        labels=reader.texts("labels"),
        taints=tuple(_taint(f"{where}.taints[{at}]", one) for at, one in enumerate(taints)),
        shape=_shape(f"{where}.node", reader.value.get("node") or {}),
        startup_s=reader.number("startupSeconds", 0),
    )


def _taint(where: str, value: Any) -> Json:
    reader = _Reader(where, value, ("key", "value", "effect"))
    taint = {"key": reader.text("key"), "effect": reader.one_of("effect", TAINT_EFFECTS)}
    return {**taint, "value": reader.text("value")} if "value" in reader.value else taint


def _shape(where: str, value: Any) -> NodeShape:
    reader = _Reader(where, value, ("cpu", "memory", "pods", "accelerator"))
    accelerator = reader.value.get("accelerator")
    return NodeShape(
        cpu=reader.text("cpu", "8"),
        memory=reader.text("memory", "32Gi"),
        pods=reader.count("pods", 110),
        accelerator=None
        if accelerator is None
        else _accelerator(f"{where}.accelerator", accelerator),
    )


def _accelerator(where: str, value: Any) -> Accelerator:
    reader = _Reader(where, value, ("resourceName", "model", "count"))
    return Accelerator(
        resource_name=reader.text("resourceName"),
        model=reader.text("model"),
        count=reader.count("count"),
    )


def read_images(path: pathlib.Path) -> dict[str, Image]:
    document = _read(path)
    if not isinstance(document, dict):
        raise InvalidSettingError(
            f"{path}: is {type(document).__name__}, must map images to programs"
        )
    return {str(key): _image(f"{path}: {key}", value) for key, value in document.items()}


def _image(where: str, value: Any) -> Image:
    reader = _Reader(where, value, ("argv", "env"))
    argv = reader.value.get("argv")
    if not isinstance(argv, list) or not argv or not all(isinstance(one, str) for one in argv):
        raise InvalidSettingError(f"{where}.argv: is {argv!r}, must be a list of at least one text")
    return Image(argv=tuple(argv), env=reader.texts("env"))


def _read(path: pathlib.Path) -> Any:
    try:
        return yaml.safe_load(path.read_text())
    except OSError as error:
        raise InvalidSettingError(f"{path}: cannot be read: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise InvalidSettingError(f"{path}: is not YAML: {error}") from error
