"""How many slots the nodes of a pool can hold. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal, InvalidOperation

from farthing import api
from farthing.kube import documents
from farthing.kube.documents import Json
from farthing.kube.interruptions import is_interrupted

_FACTORS = {
    "m": Decimal("0.001"),
    "k": Decimal(10) ** 3,
    "M": Decimal(10) ** 6,
    "G": Decimal(10) ** 9,
    "T": Decimal(10) ** 12,
    "Ki": Decimal(2) ** 10,
    "Mi": Decimal(2) ** 20,
    "Gi": Decimal(2) ** 30,
    "Ti": Decimal(2) ** 40,
}


def ready_slots(pool: api.CapacityPool, nodes: Iterable[Json]) -> int:
    """Slots on the pool's nodes that are ready and not about to leave."""
    selector = pool.spec.node_selector
    return sum(
        _slots(pool, node)
        for node in nodes
        if all(documents.labels(node).get(name) == value for name, value in selector.items())
        and documents.condition(node, "Ready").get("status") == "True"
        and not is_interrupted(node)
    )


def amount(quantity: object) -> Decimal:
    """A Kubernetes quantity as a number; what cannot be read counts as none."""
    text = str(quantity)
    unit = next((u for u in sorted(_FACTORS, key=len, reverse=True) if text.endswith(u)), "")
    try:
        return Decimal(text.removesuffix(unit)) * _FACTORS.get(unit, Decimal(1))
    except InvalidOperation:
        return Decimal(0)


def _slots(pool: api.CapacityPool, node: Json) -> int:
    slot, there = pool.spec.slot, documents.part(node, "status", "allocatable")
    needs = {"cpu": slot.cpu, "memory": slot.memory}
    if slot.accelerator is not None:
        needs[slot.accelerator.resource_name] = str(slot.accelerator.count)
    return int(min(amount(there.get(name, "0")) // amount(need) for name, need in needs.items()))
