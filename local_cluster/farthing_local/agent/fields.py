"""Values that a container may ask of its own pod: fieldRef and resourceFieldRef."""

from __future__ import annotations

import math
import re
from decimal import Decimal, InvalidOperation

from farthing_local.agent.documents import Json, part

_SUFFIXES = {
    "": Decimal(1),
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    **{letter: Decimal(10) ** (3 * step) for step, letter in enumerate("kMGTPE", start=1)},
    **{f"{letter}i": Decimal(1024) ** step for step, letter in enumerate("KMGTPE", start=1)},
}
_QUANTITY = re.compile(r"^([+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?)([a-zA-Z]{0,2})$")
_SUBSCRIPT = re.compile(r"^metadata\.(labels|annotations)\['([^']*)'\]$")
_FIELDS = (
    "metadata.name, metadata.namespace, metadata.uid, metadata.labels['KEY'], "
    "metadata.annotations['KEY'], spec.nodeName, spec.serviceAccountName, status.podIP, "
    "status.podIPs, status.hostIP, status.hostIPs"
)


class UnknownFieldError(Exception):
    """The pod asks for a value that pods do not have."""


def quantity(text: str | int | float) -> Decimal:
    """A Kubernetes quantity as a number: 500m is 0.5, 2Ki is 2048."""
    match = _QUANTITY.match(str(text))
    if match is None or match.group(2) not in _SUFFIXES:
        raise UnknownFieldError(
            f"quantity {text!r}: must be a number with a suffix such as m, Mi or G"
        )
    try:
        return Decimal(match.group(1)) * _SUFFIXES[match.group(2)]
    except InvalidOperation as error:
        raise UnknownFieldError(f"quantity {text!r}: {match.group(1)!r} is not a number") from error


def pod_field(path: str, pod: Json, *, pod_ip: str, host_ip: str) -> str:
    """The value of a fieldRef; an absent label or annotation is empty, as in Kubernetes."""
    subscript = _SUBSCRIPT.match(path)
    if subscript is not None:
        return str(part(pod, "metadata", subscript.group(1)).get(subscript.group(2), ""))
    if path in ("metadata.labels", "metadata.annotations"):
        pairs = part(pod, "metadata", path.split(".")[1])
        return "\n".join(f'{key}="{value}"' for key, value in sorted(pairs.items()))
    known = {
        "metadata.name": part(pod, "metadata").get("name", ""),
        "metadata.namespace": part(pod, "metadata").get("namespace", ""),
        "metadata.uid": part(pod, "metadata").get("uid", ""),
        "spec.nodeName": part(pod, "spec").get("nodeName", ""),
        "spec.serviceAccountName": part(pod, "spec").get("serviceAccountName", ""),
        "status.podIP": pod_ip,
        "status.podIPs": pod_ip,
        "status.hostIP": host_ip,
        "status.hostIPs": host_ip,
    }
    if path not in known:
        raise UnknownFieldError(f"fieldRef.fieldPath {path!r}: must be one of {_FIELDS}")
    return str(known[path])


def resource_field(reference: Json, container: Json, allocatable: Json) -> str:
    """The value of a resourceFieldRef, in units of its divisor and rounded up.

    A limit or request that is not set is what the node could give, as a kubelet answers.
    """
    resource = str(reference.get("resource", ""))
    group, _, key = resource.partition(".")
    if group not in ("limits", "requests") or not key:
        raise UnknownFieldError(
            f"resourceFieldRef.resource {resource!r}: must be limits.NAME or requests.NAME"
        )
    amount = part(container, "resources", group).get(key)
    if amount is None:
        amount = allocatable.get(key, "0")
    divisor = quantity(reference.get("divisor") or "1")
    return str(math.ceil(quantity(amount) / (divisor or Decimal(1))))
