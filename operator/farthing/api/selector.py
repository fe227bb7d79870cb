"""Labels: how services find pools, budgets find namespaces and pods find nodes."""

from collections.abc import Iterator, Mapping

from pydantic import Field, JsonValue

from farthing.api.fields import LabelValue
from farthing.api.part import RULES, Contradiction, Part, rule

LONGEST_KEY = 317  # a DNS prefix of 253, a slash and a name of 63 characters
_KEYS = f"keys of 1 to {LONGEST_KEY} characters, such as farthing.dev/region"

KEY_RULES: list[JsonValue] = [
    rule(
        f"self.all(key, size(key) >= 1 && size(key) <= {LONGEST_KEY})",
        allowed=_KEYS,
    )
]


def key_contradictions(field: str, labels: Mapping[str, str]) -> Iterator[Contradiction]:
    """The Python side of `KEY_RULES`."""
    for key in labels:
        if not 1 <= len(key) <= LONGEST_KEY:
            yield Contradiction((field, key), key, _KEYS)


class LabelSelector(Part):
    """Selects objects that carry all of the given labels. Empty selects every object."""

    match_labels: dict[str, LabelValue] = Field(
        default={},
        max_length=16,
        description="Labels that an object must carry, all of them, to be selected. "
        "Empty selects every object.",
        json_schema_extra={RULES: KEY_RULES},
    )

    def contradictions(self) -> Iterator[Contradiction]:
        yield from key_contradictions("matchLabels", self.match_labels)

    def selects(self, labels: Mapping[str, str]) -> bool:
        """Whether an object with these labels is selected."""
        return all(labels.get(key) == value for key, value in self.match_labels.items())
