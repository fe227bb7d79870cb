"""A container's command line and variables, by the rules of Kubernetes.

The image's argument list stands for its ENTRYPOINT. The pod's `command` replaces it and `args`
follow it. `$(NAME)` becomes the variable's value, `$$(NAME)` stays as the text `$(NAME)`, and a
reference to an unknown variable is left as it is written.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

_REFERENCE = re.compile(r"\$\$|\$\(([^()]*)\)")


def expand(text: str, variables: Mapping[str, str]) -> str:
    """The text with its references replaced, each once and from left to right."""

    def value_of(match: re.Match[str]) -> str:
        if match.group(0) == "$$":
            return "$"
        return variables.get(match.group(1), match.group(0))

    return _REFERENCE.sub(value_of, text)


def command_line(
    image_argv: Sequence[str],
    command: Sequence[str],
    args: Sequence[str],
    variables: Mapping[str, str],
) -> tuple[str, ...]:
    """The arguments to start the process with; the image's own are never expanded."""
    head = [expand(word, variables) for word in command] if command else list(image_argv)
    return (*head, *(expand(word, variables) for word in args))
