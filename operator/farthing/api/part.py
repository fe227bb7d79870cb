"""What every piece of a custom resource has in common.

A `Part` is immutable, refuses coercion (the string "3" is no integer) and refuses
fields it does not know. Facts that involve several fields are stated twice, side
by side: as CEL for the API server (`rule_between`) and as Python (`contradictions`), with
the same words, so that both ways in refuse alike.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, ClassVar, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, JsonValue, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

RULES = "x-kubernetes-validations"
LIST_TYPE = "x-kubernetes-list-type"
LIST_MAP_KEYS = "x-kubernetes-list-map-keys"
# A human sentence on what a field takes. Used in messages, left out of the CRDs.
ALLOWED = "x-farthing-allowed"

Path = tuple[str | int, ...]
Extra = dict[str, JsonValue]


class Contradiction(NamedTuple):
    """A value that its neighbours forbid: where, what it is, what it may be."""

    path: Path
    value: object
    allowed: str


def literal(text: str) -> str:
    """`text` as a CEL string literal (JSON's escapes are a subset of CEL's)."""
    return json.dumps(text, ensure_ascii=False)


def rule(expression: str, *, allowed: str) -> Extra:
    """One CEL rule on a single value. The API server shows the value, escaped, by itself."""
    return {"rule": expression, "message": f"allowed: {allowed}"}


def rule_between(expression: str, *, refuses: str, allowed: str, field: str) -> Extra:
    """One CEL rule between the fields of an object, whose message shows the refused value.

    `refuses` is a CEL expression giving the value; wrap it in `quoted` when it is a string.
    In `allowed`, `{expression}` is replaced by its value. The message is one `format`
    call, since concatenating numbers has no bounded cost. `field` points at the guilty
    field below the object.
    """
    first = '"%s"' if refuses.startswith(_QUOTED) else "%s"
    inserted = re.findall(r"{([^}]*)}", allowed)
    template = re.sub(r"{[^}]*}", "%s", f"{first} is refused; allowed: {allowed}")
    values = ", ".join([refuses.removeprefix(_QUOTED), *inserted])
    return {
        "rule": expression,
        "message": "allowed: " + re.sub(r"{[^}]*}", "the value of another field", allowed),
        "messageExpression": f"{literal(template)}.format([{values}])",
        "fieldPath": f".{field}",
    }


def required(expression: str, *, allowed: str, field: str) -> Extra:
    """One CEL rule by which `field` must be present."""
    return {
        "rule": expression,
        "message": f"missing; allowed: {allowed}",
        "reason": "FieldValueRequired",
        "fieldPath": f".{field}",
    }


_QUOTED = "quoted:"


def quoted(expression: str) -> str:
    """Marks a CEL expression whose value is shown in double quotes."""
    return _QUOTED + expression


def keyed_list(*keys: str) -> Extra:
    """The list is a map in disguise: items are told apart by `keys`."""
    return {LIST_TYPE: "map", LIST_MAP_KEYS: [*keys]}


def value_set() -> Extra:
    """The list is a set: no value twice, order means nothing."""
    return {LIST_TYPE: "set"}


def whole_list() -> Extra:
    """The list is one value: whoever writes it writes all of it."""
    return {LIST_TYPE: "atomic"}


class Part(BaseModel):
    """An immutable piece of a resource, strict about types and field names."""

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        alias_generator=to_camel,
        validate_by_alias=True,
        validate_by_name=True,
    )

    # (attribute, outside name, keys) of the lists whose items must differ.
    _distinct: ClassVar[tuple[tuple[str, str, tuple[str, ...]], ...]] = ()

    @classmethod
    def __pydantic_on_complete__(cls) -> None:
        distinct = []
        for name, field in cls.model_fields.items():
            extra = field.json_schema_extra
            if isinstance(extra, dict) and extra.get(LIST_TYPE) in ("map", "set"):
                keys = extra.get(LIST_MAP_KEYS)
                listed = tuple(str(key) for key in keys) if isinstance(keys, list) else ()
                distinct.append((name, field.alias or name, listed))
        cls._distinct = tuple(distinct)

    def contradictions(self) -> Iterator[Contradiction]:
        """Facts across fields that do not hold. Paths start at this part."""
        return iter(())

    @model_validator(mode="after")
    def _refuse_contradictions(self) -> Self:
        found = [*self._repetitions(), *self.contradictions()]
        if found:
            raise PydanticCustomError(
                "contradiction",
                "{text}",
                {
                    "text": "; ".join(
                        f"{c.value!r} is refused; allowed: {c.allowed}" for c in found
                    ),
                    "found": found,
                },
            )
        return self

    def _repetitions(self) -> Iterator[Contradiction]:
        for name, outside_name, keys in self._distinct:
            seen = set()
            for index, item in enumerate(getattr(self, name)):
                identity = item if not keys else item.identity(keys)
                if identity in seen:
                    yield Contradiction(
                        (outside_name, index),
                        identity if not keys else dict(zip(keys, identity, strict=True)),
                        f"items that differ in {', '.join(keys)}" if keys else "each value once",
                    )
                seen.add(identity)

    def identity(self, keys: tuple[str, ...]) -> tuple[object, ...]:
        """The values of the fields with these outside names."""
        by_alias = {field.alias: name for name, field in type(self).model_fields.items()}
        return tuple(getattr(self, by_alias[key]) for key in keys)

    def to_document(self) -> dict[str, Any]:
        """This part as it is written in YAML or sent to the API server."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class StatusPart(Part):
    """A piece of a status. Fields of a newer version are ignored, not refused."""

    model_config = ConfigDict(extra="ignore")
