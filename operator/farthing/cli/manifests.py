"""Files of resources, decoded as the API server would take them; every problem with its file and document."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from farthing import api
from farthing.api.decoding import KINDS, AnyResource
from farthing.cli.errors import RefusedInputError
from farthing.kube.documents import Json
from farthing.kube.translate import Resources

STANDARD_INPUT = "-"
_SUFFIXES = (".yaml", ".yml", ".json")
_DEFAULT_NAMESPACE = "default"
_LARGEST_BYTES = 16 * 1024 * 1024
_CHECKED = "has_distinct_keys"
_MOST_VALUES = 2_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifests:
    """What the files hold: resources, namespaces by name, and documents that Farthing has no use for."""

    resources: Resources
    namespaces: dict[str, Json]
    skipped: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Document:
    place: str
    content: Any


@dataclass(slots=True)
class _Found:
    resources: dict[tuple[str, str | None, str], tuple[str, AnyResource]] = field(
        default_factory=dict
    )
    namespaces: dict[str, Json] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


class StrictLoader(yaml.CSafeLoader):
    """Safe YAML in which a key that is given twice is refused instead of the first one being lost."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Looks at each mapping once, before the keys that it merges are added to its own."""
        if _CHECKED not in vars(node):
            seen: set[str] = set()
            for key, _ in node.value:
                if isinstance(key, yaml.ScalarNode) and key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key {key.value!r} is given twice", key.start_mark
                    )
                seen.add(str(key.value))
            vars(node)[_CHECKED] = True
        super().flatten_mapping(node)


def read(names: Iterable[str]) -> Manifests:
    """The resources of files, of folders (with the folders below) and of standard input as `-`.

    Raises RefusedInputError with one line per problem.
    """
    found = _Found()
    for place, text in _texts(names, found.problems):
        for document in _documents(place, text, found.problems):
            _sort_in(document, found)
    if found.problems:
        raise RefusedInputError(found.problems)
    resources = [resource for _, resource in found.resources.values()]
    return Manifests(
        resources=Resources(
            services=tuple(one for one in resources if isinstance(one, api.InferenceService)),
            pools=tuple(one for one in resources if isinstance(one, api.CapacityPool)),
            runtimes=tuple(one for one in resources if isinstance(one, api.InferenceRuntime)),
            profiles=tuple(one for one in resources if isinstance(one, api.ModelProfile)),
            budgets=tuple(one for one in resources if isinstance(one, api.ClusterBudget)),
        ),
        namespaces=found.namespaces,
        skipped=tuple(found.skipped),
    )


def _texts(names: Iterable[str], problems: list[str]) -> Iterator[tuple[str, str]]:
    for name in names:
        if name == STANDARD_INPUT:
            content = sys.stdin.buffer.read()
            yield from _decoded("standard input", content, problems)
            continue
        path = Path(name)
        if not path.exists():
            problems.append(f"{name}: there is no such file or folder")
        for file in _files(path):
            try:
                yield str(file), text_of(file)
            except RefusedInputError as refused:
                problems.extend(refused.problems)


def _decoded(place: str, content: bytes, problems: list[str]) -> Iterator[tuple[str, str]]:
    try:
        yield place, content.decode()
    except UnicodeDecodeError as error:
        problems.append(f"{place}: byte {error.start} is refused; allowed: text in UTF-8")


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path] if path.exists() else []
    return sorted(file for file in path.rglob("*") if file.suffix in _SUFFIXES and file.is_file())


def text_of(path: Path) -> str:
    """The text of a file; RefusedInputError where it is none."""
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            raise RefusedInputError(f"{path}: refused; allowed: files of at most 16 MiB")
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise RefusedInputError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise RefusedInputError(
            f"{path}: byte {error.start} is refused; allowed: text in UTF-8"
        ) from error


def parsed(place: str, text: str) -> list[Any]:
    """The documents of a YAML or JSON text. Raises RefusedInputError where it is none."""
    try:
        loaded = list(yaml.load_all(text, Loader=StrictLoader))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        # A date such as 2026-02-31 is a ValueError, nesting without end a RecursionError.
        raise RefusedInputError(f"{place}: is no YAML: {' '.join(str(error).split())}") from error
    if _size(loaded, {}) > _MOST_VALUES:
        raise RefusedInputError(
            f"{place}: its aliases are refused; allowed: aliases that expand to at most "
            f"{_MOST_VALUES} values"
        )
    return loaded


def _documents(place: str, text: str, problems: list[str]) -> Iterator[_Document]:
    try:
        loaded = parsed(place, text)
    except RefusedInputError as refused:
        problems.extend(refused.problems)
        return
    for index, content in enumerate(loaded, start=1):
        numbered = place if len(loaded) == 1 else f"{place} (document {index})"
        if content is None:
            continue
        if isinstance(content, dict) and _is_list(content):
            for position, item in enumerate(content["items"]):
                yield _Document(f"{numbered} items[{position}]", item)
        else:
            yield _Document(numbered, content)


def _size(value: Any, known: dict[int, int]) -> int:
    """Values in a document when its aliases are written out; one that holds itself has no end."""
    if not isinstance(value, dict | list):
        return 1
    if id(value) not in known:
        known[id(value)] = _MOST_VALUES + 1
        parts = value.values() if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(_size(part, known) for part in parts)
    return known[id(value)]


def _is_list(content: Json) -> bool:
    """What `kubectl get -o yaml` prints for several objects."""
    kind = content.get("kind")
    return (
        isinstance(kind, str) and kind.endswith("List") and isinstance(content.get("items"), list)
    )


def _sort_in(document: _Document, found: _Found) -> None:
    content = document.content
    if _is_foreign(content):
        if content.get("kind") == "Namespace" and content.get("apiVersion") == "v1":
            metadata = content.get("metadata")
            if isinstance(metadata, dict) and isinstance(metadata.get("name"), str):
                found.namespaces[metadata["name"]] = content
        else:
            found.skipped.append(f"{document.place}: {content['apiVersion']} {content.get('kind')}")
        return
    try:
        resource = api.decode(_in_a_namespace(content))
    except api.InvalidResource as refused:
        found.problems += [f"{document.place}: {line}" for line in str(refused).splitlines()]
        return
    metadata = resource.metadata
    identity = (resource.kind, metadata.namespace, metadata.name)
    if identity in found.resources:
        first, _ = found.resources[identity]
        shown = f"{metadata.namespace}/{metadata.name}" if metadata.namespace else metadata.name
        found.problems.append(
            f"{document.place}: {resource.kind} {shown}: metadata.name is refused; "
            f"allowed: a name that is given once; {first} has it already"
        )
        return
    found.resources[identity] = (document.place, resource)


def _is_foreign(content: Any) -> bool:
    """A whole object of somebody else: it names an API group, and that is not Farthing's."""
    version = content.get("apiVersion") if isinstance(content, dict) else None
    return isinstance(version, str) and bool(version) and version.split("/")[0] != api.GROUP


def _in_a_namespace(content: Any) -> Any:
    """The document in the namespace that kubectl would give it; cluster-wide kinds have none."""
    if not isinstance(content, dict) or not isinstance(content.get("metadata"), dict):
        return content
    kind = KINDS.get(str(content.get("kind")))
    if kind is None or not kind.definition.namespaced or content["metadata"].get("namespace"):
        return content
    return {**content, "metadata": {**content["metadata"], "namespace": _DEFAULT_NAMESPACE}}
