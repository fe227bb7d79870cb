"""What the cluster says about the demo's services, asked of its API once a second."""

from __future__ import annotations

import asyncio
import enum
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import aiohttp
from benchmarks.demo import bill, errors, scenario

Json = dict[str, Any]

_GROUP = "/apis/farthing.dev/v1alpha1"
_PODS = f"/api/v1/namespaces/{scenario.NAMESPACE}/pods?labelSelector=farthing.dev/service"
_SERVICES = f"{_GROUP}/namespaces/{scenario.NAMESPACE}/inferenceservices"
_NOTICE_TAINT = "farthing.dev/interrupted"
_QUEUED = "farthing_requests_queued"
_ONE_REQUEST_S = 5.0
# A server that is being drained or loaded must not hold up the view.
_ONE_SCRAPE_S = 0.5


class Phase(enum.StrEnum):
    PENDING = "pending"
    STARTING = "starting"
    READY = "ready"
    LEAVING = "leaving"


@dataclass(frozen=True, slots=True, kw_only=True)
class Replica:
    """One pod as it was seen; `on_notice` when its node is about to be taken away."""

    uid: str
    service: str
    pool: str
    node: str | None
    address: str | None
    phase: Phase
    scheduled_at: datetime | None
    on_notice: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Spend:
    """What the operator charged a service between two instants."""

    since: datetime
    until: datetime
    amount: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceStatus:
    """The operator's own word on a service; none where it has not said."""

    service: str
    chosen: str | None
    decision: str | None
    spend: Spend | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """Everything at one instant. `queued` has no entry for a service that could not be asked."""

    at: datetime
    replicas: tuple[Replica, ...]
    statuses: Mapping[str, ServiceStatus]
    queued: Mapping[str, int]
    nodes: frozenset[str]


class Lifetimes:
    """When each replica got its node and when it was gone, from what was seen so far."""

    def __init__(self) -> None:
        self._lives: dict[str, bill.Lifetime] = {}

    def note(self, replicas: Iterable[Replica], at: datetime) -> None:
        there = {one.uid for one in replicas}
        for one in replicas:
            if one.scheduled_at is not None and one.uid not in self._lives:
                self._lives[one.uid] = bill.Lifetime(
                    service=one.service, pool=one.pool, start=one.scheduled_at, end=None
                )
        for uid, life in self._lives.items():
            if uid not in there and life.end is None:
                self._lives[uid] = bill.Lifetime(
                    service=life.service, pool=life.pool, start=life.start, end=at
                )

    def all(self) -> tuple[bill.Lifetime, ...]:
        return tuple(self._lives.values())


class ClusterApi:
    """Reads the cluster's API as its admin."""

    def __init__(self, server: str, context: ssl.SSLContext) -> None:
        self._server = server
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=context),
            timeout=aiohttp.ClientTimeout(total=_ONE_REQUEST_S),
            trust_env=False,
        )
        self._scrapes = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=_ONE_SCRAPE_S), trust_env=False
        )

    async def __aenter__(self) -> ClusterApi:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()
        await self._scrapes.close()

    async def get(self, path: str) -> Json:
        """One document. Raises DemoError where the API gives none."""
        try:
            async with self._session.get(self._server + path) as response:
                document: Json = await response.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise _silent(path, str(error) or type(error).__name__) from error
        if response.status != 200:
            raise _silent(path, f"{response.status} {document.get('message', '')}")
        return document

    async def look(self) -> Seen:
        """Replicas, statuses and queues of this moment."""
        pods, services, nodes = await asyncio.gather(
            self.get(_PODS), self.get(_SERVICES), self.get("/api/v1/nodes")
        )
        at = datetime.now(UTC)
        on_notice = {one["metadata"]["name"] for one in nodes["items"] if _has_notice(one)}
        replicas = tuple(
            one for pod in pods["items"] if (one := replica(pod, on_notice)) is not None
        )
        statuses = tuple(service_status(one) for one in services["items"])
        return Seen(
            at=at,
            replicas=replicas,
            statuses={one.service: one for one in statuses},
            queued=await self._queued(replicas),
            nodes=frozenset(one["metadata"]["name"] for one in nodes["items"]),
        )

    async def prices(self) -> tuple[bill.Price, ...]:
        pools = await self.get(f"{_GROUP}/capacitypools")
        return tuple(price(one) for one in pools["items"])

    async def address(self, service: str) -> str:
        """The ClusterIP of a service."""
        path = f"/api/v1/namespaces/{scenario.NAMESPACE}/services/{service}"
        return str((await self.get(path))["spec"]["clusterIP"])

    async def _queued(self, replicas: Iterable[Replica]) -> dict[str, int]:
        """Requests waiting in the ready replicas of each service; silent ones are left out."""
        ready = [one for one in replicas if one.phase is Phase.READY and one.address]
        answers = await asyncio.gather(*(self._scrape(str(one.address)) for one in ready))
        found: dict[str, int] = {}
        for one, queued in zip(ready, answers, strict=True):
            if queued is not None:
                found[one.service] = found.get(one.service, 0) + queued
        return found

    async def _scrape(self, address: str) -> int | None:
        try:
            async with self._scrapes.get(f"http://{address}:8080/metrics") as response:
                text = await response.text()
        except (aiohttp.ClientError, TimeoutError):
            return None
        return queued_of(text)


def replica(pod: Json, on_notice: set[str]) -> Replica | None:
    """A pod as a replica; none for one that ended and costs nothing any more."""
    metadata, status = pod["metadata"], pod.get("status", {})
    if status.get("phase") in ("Succeeded", "Failed"):
        return None
    conditions = {one["type"]: one for one in status.get("conditions") or []}
    node = pod.get("spec", {}).get("nodeName")
    labels = metadata.get("labels", {})
    is_ready = conditions.get("Ready", {}).get("status") == "True"
    if metadata.get("deletionTimestamp"):
        phase = Phase.LEAVING
    elif node is None:
        phase = Phase.PENDING
    else:
        phase = Phase.READY if is_ready else Phase.STARTING
    scheduled = conditions.get("PodScheduled", {}).get("lastTransitionTime")
    return Replica(
        uid=metadata["uid"],
        service=labels["farthing.dev/service"],
        pool=labels["farthing.dev/pool"],
        node=node,
        address=status.get("podIP"),
        phase=phase,
        scheduled_at=instant(scheduled or metadata["creationTimestamp"]) if node else None,
        on_notice=node in on_notice,
    )


def service_status(document: Json) -> ServiceStatus:
    status = document.get("status", {})
    decision, spend = status.get("decision") or {}, status.get("spend")
    chosen, why = decision.get("chosen"), decision.get("message") or decision.get("reasonCode")
    return ServiceStatus(
        service=document["metadata"]["name"],
        chosen=chosen,
        decision=f"{chosen}: {why}" if chosen else None,
        spend=Spend(
            since=instant(spend["periodStart"]),
            until=instant(spend["chargedUntil"]),
            amount=Decimal(spend["amount"]),
        )
        if spend
        else None,
    )


def price(pool: Json) -> bill.Price:
    spec = pool["spec"]
    accelerator = spec["slot"].get("accelerator")
    return bill.Price(
        pool=pool["metadata"]["name"],
        capacity_type=spec["capacityType"],
        hardware=accelerator["model"] if accelerator else "cpu",
        per_slot_hour=Decimal(spec["price"]["perSlotHour"]),
        committed_slots=spec.get("capacity", {}).get("committedSlots", 0),
    )


def queued_of(exposition: str) -> int | None:
    """The requests that wait, from a server's metrics; none where it does not say."""
    for line in exposition.splitlines():
        if line.startswith(_QUEUED):
            return int(float(line.rsplit(" ", 1)[1]))
    return None


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _has_notice(node: Json) -> bool:
    return any(one["key"] == _NOTICE_TAINT for one in node.get("spec", {}).get("taints") or [])


def _silent(path: str, problem: str) -> errors.DemoError:
    return errors.DemoError(
        f"The local API server did not answer {path.partition('?')[0]} ({problem}).",
        next_step="Run make demo again.",
    )
