"""From the models to the structural OpenAPI schemas that CRDs are made of.

Pydantic speaks JSON schema with references and unions; a CRD takes neither. What
is inlined, dropped and renamed on the way is all here.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

from farthing.api.part import ALLOWED, RULES, Path
from farthing.api.resource import LONGEST_NAME, Resource

Node = dict[str, Any]

_API_VERSION = "Version of the schema of this object, farthing.dev/v1alpha1."
_KIND = "Kind of this object."
_DROPPED = ("title", "additionalProperties", "$defs")
_BOUNDS = {"exclusiveMinimum": "minimum", "exclusiveMaximum": "maximum"}


@cache
def of_resource(resource: type[Resource]) -> Node:
    """The schema of a kind, with the sentences on what each field allows still in it."""
    described = resource.model_json_schema(by_alias=True, mode="validation")
    definitions = described["$defs"]
    properties = described["properties"]
    schema: Node = {
        "type": "object",
        "description": described["description"],
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string", "description": _API_VERSION},
            "kind": {"type": "string", "description": _KIND},
            "metadata": {
                "type": "object",
                "properties": {"name": {"type": "string", "maxLength": LONGEST_NAME}},
            },
            "spec": _structural(properties["spec"], definitions),
        },
        RULES: [resource.definition.name_rule()],
    }
    if "status" in properties:
        schema["properties"]["status"] = _observed(_structural(properties["status"], definitions))
    return schema


def published(node: Any) -> Any:
    """The schema as the API server takes it."""
    if isinstance(node, Mapping):
        return {key: published(item) for key, item in node.items() if key != ALLOWED}
    if isinstance(node, list):
        return [published(item) for item in node]
    return node


def _structural(node: Node, definitions: Mapping[str, Node]) -> Node:
    merged = _inlined(node, definitions)
    result: Node = {
        _BOUNDS.get(key, key): value for key, value in merged.items() if key not in _DROPPED
    }
    if "const" in result:
        result["enum"] = [result.pop("const")]
    for key in _BOUNDS:
        if key in merged:
            result[key] = True
    if "properties" in result:
        result["properties"] = {
            name: _structural(item, definitions) for name, item in result["properties"].items()
        }
        if "default" in result:
            result["default"] = _least(result["default"])
    elif isinstance(merged.get("additionalProperties"), Mapping):
        result["additionalProperties"] = _structural(merged["additionalProperties"], definitions)
    if "items" in result:
        result["items"] = _undefaulted(_structural(result["items"], definitions))
    return result


def _least(default: Any) -> Node:
    """An object's default without what the defaults inside its fields would add anyway.

    Scalars stay: the rules of the object are already checked on the default as written.
    """
    return {key: value for key, value in default.items() if value not in (None, {}, [])}


def _inlined(node: Node, definitions: Mapping[str, Node]) -> Node:
    """The node without references and without the null that makes it optional."""
    if "$ref" in node:
        target = definitions[node["$ref"].rpartition("/")[2]]
        return _inlined({**target, **{k: v for k, v in node.items() if k != "$ref"}}, definitions)
    if "anyOf" in node:
        (only,) = (choice for choice in node["anyOf"] if choice != {"type": "null"})
        rest = {k: v for k, v in node.items() if k not in ("anyOf", "default")}
        return _inlined({**only, **rest}, definitions)
    return node


def _undefaulted(node: Node) -> Node:
    """Items of lists keep their defaults to themselves.

    `kubectl apply` compares lists as a whole and would find a stored default to be a
    difference for ever; so these defaults are applied on reading only.
    """
    kept = {key: value for key, value in node.items() if key != "default"}
    if "properties" in kept:
        kept["properties"] = {k: _undefaulted(item) for k, item in kept["properties"].items()}
    return kept


def _observed(node: Node) -> Node:
    """A status has neither defaults nor rules: the operator alone writes it."""
    kept = {key: value for key, value in node.items() if key not in ("default", RULES)}
    if "properties" in kept:
        kept["properties"] = {name: _observed(item) for name, item in kept["properties"].items()}
    if "items" in kept:
        kept["items"] = _observed(kept["items"])
    return kept


def node_at(root: Node, path: Path) -> Node:
    """The schema of the field at `path`; empty where there is none."""
    node = root
    for step in path:
        if isinstance(step, int):
            node = node.get("items", {})
        else:
            node = node.get("properties", {}).get(step) or node.get("additionalProperties", {})
    return node


def allowed_by(node: Node) -> str:
    """What a field takes, in words."""
    if ALLOWED in node:
        return str(node[ALLOWED])
    if "enum" in node:
        return "one of " + ", ".join(node["enum"])
    kind = node.get("type")
    if kind == "integer":
        return f"an integer from {node.get('minimum', 'any')} to {node.get('maximum', 'any')}"
    if kind == "array":
        return f"a list of {node.get('minItems', 0)} to {node.get('maxItems', 'any')} items"
    if kind == "string":
        return f"a string of at most {node.get('maxLength', 'any')} characters"
    if kind == "boolean":
        return "true or false"
    if "additionalProperties" in node:
        return f"an object of at most {node.get('maxProperties', 'any')} strings"
    return "an object with " + ", ".join(node.get("properties", {"its fields": {}}))
