"""Makes the cluster agree with what is wanted, by server-side apply of differences only.

An object that already says what is wanted costs no call. Increases come before decreases, writes
are paced, and what finds no room in the pace waits for the next tick, which decides anew.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from farthing.core.domain import WorkloadId
from farthing.kube import children, documents
from farthing.kube.connection import Connection, RefusedError, UnavailableError
from farthing.kube.desired import Problem, ServiceChildren
from farthing.kube.documents import Json
from farthing.kube.instruments import Instruments
from farthing.kube.reflector import Reflector
from farthing.kube.throttle import Backoff, TokenBucket

_COLLECTIONS = {
    "Deployment": "/apis/apps/v1/namespaces/{}/deployments",
    "Service": "/api/v1/namespaces/{}/services",
    "PodDisruptionBudget": "/apis/policy/v1/namespaces/{}/poddisruptionbudgets",
    "Pod": "/api/v1/namespaces/{}/pods",
}
_CONCURRENT = 8
_DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
# Far below the default of 0: of equally ready pods the one under notice leaves first.
_LEAVES_FIRST = "-1000"
_log = logging.getLogger(__name__)


def path_of(document: Json) -> str:
    metadata = document["metadata"]
    return f"{_COLLECTIONS[document['kind']].format(metadata['namespace'])}/{metadata['name']}"


@dataclass(frozen=True, slots=True)
class _Write:
    """One object to change. Lower ranks go first."""

    rank: int
    owner: WorkloadId
    owner_uid: str
    document: Json
    cached: Json | None
    removes: bool = False

    @property
    def key(self) -> str:
        return f"{self.document['kind']} {documents.key(self.document)}"


class Actuator:
    """Writes children; remembers what it verified, so that a quiet cluster stays quiet."""

    def __init__(
        self,
        connection: Connection,
        caches: Mapping[str, Reflector],
        may_write: Callable[[], bool],
        instruments: Instruments,
    ) -> None:
        self._connection, self._caches = connection, caches
        self._may_write, self._instruments = may_write, instruments
        self._bucket = TokenBucket(burst=50, per_second=10)
        self._backoff = Backoff()
        self._room = asyncio.Semaphore(_CONCURRENT)
        self._verified: dict[str, tuple[str, object]] = {}
        self._problems: dict[str, tuple[WorkloadId, Problem]] = {}

    async def apply(
        self, wanted: Iterable[ServiceChildren], under_notice: Mapping[str, Json]
    ) -> frozenset[str]:
        """Bring everything as close to what is wanted as the pace allows.

        Returns what was written, as `Kind namespace/name`. `under_notice` are the pods whose nodes
        leave: where a Deployment shrinks, they go first.
        """
        writes = [write for one in wanted for write in self._differences(one)]
        present = {write.key for write in writes}
        self._problems = {k: v for k, v in self._problems.items() if k in present}
        written: set[str] = set()
        for rank in sorted({write.rank for write in writes}):
            now = [write for write in writes if write.rank == rank]
            if rank == 1:
                await self._mark_leaving(now, under_notice)
            done = await asyncio.gather(*(self._paced(write) for write in now))
            written |= {write.key for write, is_done in zip(now, done, strict=True) if is_done}
        return frozenset(written)

    async def evict(self, pods: Iterable[Json]) -> None:
        """Ask pods to leave, each with its grace."""
        for pod in pods:
            if not self._may_write() or not self._bucket.take():
                return
            document = {"kind": "Pod", **pod}
            await self._guarded(
                f"Pod {documents.key(pod)}",
                "Pod",
                self._connection.delete(path_of(document), uid=documents.uid(pod)),
            )

    def problems_of(self, owner: WorkloadId) -> tuple[Problem, ...]:
        """What the API server refused for a service, and still does."""
        return tuple(problem for who, problem in self._problems.values() if who == owner)

    def _differences(self, one: ServiceChildren) -> Iterable[_Write]:
        names = set()
        for plain in one.wanted:
            document = children.marked(plain)
            names.add((document["kind"], documents.key(document)))
            cached = self._cached(document)
            if cached is None or not self._agrees(document, cached):
                yield _Write(_rank(document, cached), one.id, one.uid, document, cached)
        for there in one.unwanted:
            if documents.controller_uid(there) == one.uid and not _is_leaving(there):
                document = {"kind": "Deployment", **there}
                yield _Write(2, one.id, one.uid, document, there, removes=True)
        budget_key = f"{one.id.namespace}/{one.id.name}"
        budget = self._caches["PodDisruptionBudget"].objects.get(budget_key)
        is_wanted = ("PodDisruptionBudget", budget_key) in names or not one.wanted
        if budget is not None and not is_wanted and documents.controller_uid(budget) == one.uid:
            document = {"kind": "PodDisruptionBudget", **budget}
            yield _Write(0, one.id, one.uid, document, budget, removes=True)

    def _cached(self, document: Json) -> Json | None:
        return self._caches[document["kind"]].objects.get(documents.key(document))

    def _agrees(self, document: Json, cached: Json) -> bool:
        wanted = documents.annotations_of(document)[documents.APPLIED]
        if documents.annotations_of(cached).get(documents.APPLIED) != wanted:
            return False
        key = f"{document['kind']} {documents.key(document)}"
        seen = (wanted, _state_of(cached))
        if self._verified.get(key) != seen:
            if not covers(cached, document):
                return False
            self._verified[key] = seen
        return True

    async def _mark_leaving(
        self, shrinking: list[_Write], under_notice: Mapping[str, Json]
    ) -> None:
        """Tell the ReplicaSets which replicas to give up, before they are told to give some up."""
        selected = [documents.part(write.document, "spec", "selector") for write in shrinking]
        for pod in under_notice.values():
            labels = documents.labels(pod)
            matches = any(
                s and s.get("matchLabels", {}).items() <= labels.items() for s in selected
            )
            if not matches or documents.annotations_of(pod).get(_DELETION_COST) == _LEAVES_FIRST:
                continue
            if not self._may_write() or not self._bucket.take():
                return
            body = {"metadata": {"annotations": {_DELETION_COST: _LEAVES_FIRST}}}
            await self._guarded(
                f"Pod {documents.key(pod)}",
                "Pod",
                self._connection.merge(path_of({"kind": "Pod", **pod}), body),
            )

    async def _paced(self, write: _Write) -> bool:
        if not self._backoff.allows(write.key) or not self._may_write():
            return False
        if not self._bucket.take():
            return False
        async with self._room:
            return await self._execute(write)

    async def _execute(self, write: _Write) -> bool:
        kind, path = write.document["kind"], path_of(write.document)
        if write.removes:
            deletion = self._connection.delete(path, uid=documents.uid(write.document))
            return await self._guarded(write.key, kind, deletion, write)
        if write.cached is not None:
            if documents.controller_uid(write.cached) != write.owner_uid:
                return self._contested(write, write.cached)
        elif (foreign := await self._foreign(write, path)) is not None:
            return self._contested(write, foreign)
        return await self._guarded(write.key, kind, self._applied(write, path), write)

    async def _applied(self, write: _Write, path: str) -> None:
        document = write.document
        if write.cached is not None:
            # Never make anew, or take over, what was replaced since we looked.
            precondition = {"uid": documents.uid(write.cached)}
            document = {**document, "metadata": {**document["metadata"], **precondition}}
        answer = await self._connection.apply(path, document, force=write.cached is not None)
        digest = documents.annotations_of(write.document)[documents.APPLIED]
        self._verified[write.key] = (digest, _state_of(answer))
        self._caches[document["kind"]].learn(answer)

    async def _foreign(self, write: _Write, path: str) -> Json | None:
        """What stands at a place that should be free, unless it is our own and just not seen yet."""
        try:
            there = await self._connection.get(path)
        except (RefusedError, UnavailableError):
            return None
        return None if documents.controller_uid(there) == write.owner_uid else there

    def _contested(self, write: _Write, foreign: Json) -> bool:
        owner = documents.items(foreign, "metadata", "ownerReferences")
        belongs = f"{owner[0].get('kind')} {owner[0].get('name')}" if owner else "nobody we know"
        self._failed(
            write.key, write, Problem("Contested", f"{write.key} exists and belongs to {belongs}")
        )
        self._instruments.applied(write.document["kind"], "contested")
        return False

    async def _guarded(self, key: str, kind: str, call: Any, write: _Write | None = None) -> bool:
        """Make one call; what it says is counted, and a refusal is kept for the service's status."""
        try:
            await call
        except RefusedError as error:
            _log.warning("%s: refused: %s", key, error)
            self._instruments.applied(kind, "refused")
            self._failed(key, write, Problem("ApplyRefused", f"{key}: {error}"))
            return False
        except UnavailableError as error:
            _log.warning("%s: %s", key, error)
            self._instruments.applied(kind, "unavailable")
            return False
        self._instruments.applied(kind, "done")
        self._backoff.succeeded(key)
        self._problems.pop(key, None)
        return True

    def _failed(self, key: str, write: _Write | None, problem: Problem) -> None:
        self._backoff.failed(key)
        if write is not None:
            self._problems[key] = (write.owner, problem)


def covers(actual: Any, wanted: Any) -> bool:
    """Whether `actual` says everything that `wanted` says; it may say more."""
    if isinstance(wanted, dict):
        return isinstance(actual, dict) and all(
            name in actual and covers(actual[name], value) for name, value in wanted.items()
        )
    if isinstance(wanted, list):
        return (
            isinstance(actual, list)
            and len(actual) == len(wanted)
            and all(covers(one, other) for one, other in zip(actual, wanted, strict=True))
        )
    return bool(actual == wanted)


def _rank(document: Json, cached: Json | None) -> int:
    """0 for what adds or keeps capacity, 1 for what takes some away."""
    if cached is None or document["kind"] != "Deployment":
        return 0
    before = documents.part(cached, "spec").get("replicas") or 0
    return 1 if document["spec"]["replicas"] < before else 0


def _state_of(document: Json) -> object:
    """What changes when somebody changes the spec, and as little else as possible."""
    metadata = documents.part(document, "metadata")
    return metadata.get("generation") or metadata.get("resourceVersion")


def _is_leaving(document: Json) -> bool:
    return bool(documents.part(document, "metadata").get("deletionTimestamp"))
