"""Writes what is worth saying: statuses, and one event per change of a decision."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from datetime import datetime

from farthing import api
from farthing.api.decoding import KINDS
from farthing.core.domain import Decision, ReasonCode
from farthing.kube import budget_status, capacity_seen, documents, status, translate
from farthing.kube.connection import Connection, RefusedError, UnavailableError
from farthing.kube.documents import Json
from farthing.kube.instruments import Instruments
from farthing.kube.status import Tick
from farthing.kube.store import Entry, Store
from farthing.kube.throttle import Backoff, TokenBucket
from farthing.kube.worth_writing import is_worth_writing

_LONGEST_NOTE = 1024
_LOOK_EVERY_S = 10.0
_WARNINGS = frozenset(
    {
        ReasonCode.SERVICE_BUDGET,
        ReasonCode.CLUSTER_BUDGET,
        ReasonCode.CAPACITY,
        ReasonCode.HELD_ON_GAP,
        ReasonCode.NO_POOL,
        ReasonCode.INTERRUPTED,
        ReasonCode.COST_PER_REQUEST,
    }
)
_log = logging.getLogger(__name__)


class Publisher:
    """Keeps the statuses of our resources true and quiet."""

    def __init__(
        self,
        connection: Connection,
        store: Store,
        may_write: Callable[[], bool],
        instruments: Instruments,
        reporter: str,
    ) -> None:
        self._connection, self._store = connection, store
        self._may_write, self._instruments = may_write, instruments
        self._reporter = reporter
        self._bucket = TokenBucket(burst=50, per_second=10)
        self._backoff = Backoff()
        self._written_at: dict[str, float] = {}
        self._announced: dict[str, str] = {}
        self._outlines: dict[str, tuple[object, str, float]] = {}

    async def publish(self, tick: Tick, nodes: Iterable[Json]) -> None:
        """Write the statuses and events of one tick."""
        seen = tuple(nodes)
        self._forget_deleted()
        for kind in ("InferenceService", "CapacityPool", "ClusterBudget"):
            for entry in self._store.entries(kind):
                now = self._status(entry, tick, seen)
                if now is not None:
                    await self._write(entry, now)
        for entry in self._store.entries("InferenceService"):
            if isinstance(entry.resource, api.InferenceService):
                await self._announce(entry.document, entry.resource, tick)

    def _forget_deleted(self) -> None:
        kinds = ("InferenceService", "CapacityPool", "ClusterBudget")
        there = {f"{kind} {entry.key}" for kind in kinds for entry in self._store.entries(kind)}
        for memory in (self._written_at, self._outlines, self._announced):
            for key in [key for key in memory if key not in there]:
                del memory[key]

    def _status(self, entry: Entry, tick: Tick, nodes: tuple[Json, ...]) -> Json | None:
        before, resource = documents.part(entry.document, "status"), entry.resource
        if documents.part(entry.document, "metadata").get("deletionTimestamp"):
            return None
        if entry.problem is not None:
            return status.invalid(entry.document, entry.problem, tick.observation.at)
        if isinstance(resource, api.InferenceService):
            if self._is_told(resource, tick):
                return None
            return status.of_service(resource, before, tick)
        if isinstance(resource, api.CapacityPool):
            ready = capacity_seen.ready_slots(resource, nodes)
            return status.of_pool(resource, before, tick, ready)
        if isinstance(resource, api.ClusterBudget):
            return budget_status.of_budget(resource, before, tick)
        return None

    def _is_told(self, service: api.InferenceService, tick: Tick) -> bool:
        """Whether only figures can have changed since the last look, and they may wait."""
        metadata, now_s = service.metadata, time.monotonic()
        key = f"InferenceService {metadata.namespace}/{metadata.name}"
        version = metadata.resource_version or ""
        outline = status.outline(service, tick)
        told, at_version, looked_at = self._outlines.get(key, (None, "", 0.0))
        if told == outline and at_version == version and now_s - looked_at < _LOOK_EVERY_S:
            return True
        self._outlines[key] = (outline, version, now_s)
        return False

    async def _write(self, entry: Entry, now: Json) -> None:
        document = entry.document
        key = f"{document['kind']} {documents.key(document)}"
        before = documents.part(document, "status")
        since_s = time.monotonic() - self._written_at.get(key, float("-inf"))
        if not is_worth_writing(before, now, since_s):
            return
        if not self._backoff.allows(key) or not self._may_write() or not self._bucket.take():
            self._outlines.pop(key, None)  # not told yet: look again at the next tick
            return
        path = f"{_path(document)}/status"
        metadata = document["metadata"]
        body = {
            "apiVersion": document["apiVersion"],
            "kind": document["kind"],
            "metadata": {"name": metadata["name"], "uid": metadata["uid"]},
            "status": now,
        }
        try:
            answer = await self._connection.apply(path, body, force=True)
        except (RefusedError, UnavailableError) as error:
            # Deleted or replaced meanwhile is no fault; the next tick sees what is there.
            if not (isinstance(error, RefusedError) and error.status in (404, 409)):
                _log.warning("status of %s: %s", key, error)
            self._instruments.applied(document["kind"], "refused")
            self._backoff.failed(key)
            self._outlines.pop(key, None)
            return
        self._instruments.applied(document["kind"], "done")
        self._backoff.succeeded(key)
        self._written_at[key] = time.monotonic()
        self._store.put(answer)

    async def _announce(self, document: Json, service: api.InferenceService, tick: Tick) -> None:
        key = documents.key(document)
        owner = translate.workload_id(service)
        decision = tick.decisions.get(owner)
        if decision is None:
            return
        told = f"InferenceService {key}"
        last = self._announced.get(told)
        if last is None and service.status.decision is not None:
            last = service.status.decision.id if self._is_restored(decision, tick) else None
        if last == decision.id or not self._may_write() or not self._bucket.take():
            return
        self._announced[told] = decision.id
        _log.info(
            "decision",
            extra={
                "service": key,
                "uid": documents.uid(document),
                "decision": decision.id,
                "reason": decision.reason.value,
                "binding": decision.binding.value,
                "chosen": decision.chosen,
                "cost_per_hour": format(decision.cost_per_hour, "f"),
                "decision_message": decision.message,
            },
        )
        await self._post_event(document, decision, tick.observation.at)

    @staticmethod
    def _is_restored(decision: Decision, tick: Tick) -> bool:
        """Whether it was made before this process started, and so was announced then."""
        first = tick.step.state.first_tick_at
        return first is not None and decision.at < first

    async def _post_event(self, document: Json, decision: Decision, at: datetime) -> None:
        metadata = document["metadata"]
        event = {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {
                "name": f"{metadata['name']}.{decision.id}",
                "namespace": metadata["namespace"],
            },
            "eventTime": documents.precise_timestamp(at),
            "reportingController": "farthing.dev/operator",
            "reportingInstance": self._reporter[:128],
            "action": "Decide",
            "type": "Warning" if decision.reason in _WARNINGS else "Normal",
            "reason": decision.reason.value,
            "note": f"{decision.id}: {decision.message}"[:_LONGEST_NOTE],
            "regarding": {
                "apiVersion": document["apiVersion"],
                "kind": document["kind"],
                "name": metadata["name"],
                "namespace": metadata["namespace"],
                "uid": metadata["uid"],
            },
        }
        path = f"/apis/events.k8s.io/v1/namespaces/{metadata['namespace']}/events"
        try:
            await self._connection.create(path, event)
        except (RefusedError, UnavailableError) as error:
            # An event is a courtesy: the decision stands in the status and in the log.
            _log.debug("event of %s: %s", documents.key(document), error)


def _path(document: Json) -> str:
    metadata, plural = document["metadata"], KINDS[document["kind"]].definition.plural
    space = f"/namespaces/{metadata['namespace']}" if metadata.get("namespace") else ""
    return f"/apis/{document['apiVersion']}{space}/{plural}/{metadata['name']}"
