"""Leader election by a Lease: one operator writes, others wait warm.

Writes are allowed only while the last renewal is younger than the renew deadline by our own
monotonic clock, which is shorter than what others wait before they take over: a process that was
frozen finds out before it writes.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime

from farthing.kube import documents
from farthing.kube.connection import ApiError, Connection, RefusedError
from farthing.kube.documents import Json

DURATION_S = 15
RENEW_DEADLINE_S = 10.0
RETRY_S = 2.0
RENEW_EVERY_S = 5.0
_GROUP = "/apis/coordination.k8s.io/v1"
_log = logging.getLogger(__name__)


class Lease:
    """Our part in one Lease."""

    def __init__(
        self,
        connection: Connection,
        namespace: str,
        *,
        name: str = "farthing-operator",
        identity: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connection, self._clock = connection, clock
        self._namespace, self._name = namespace, name
        self._collection = f"{_GROUP}/namespaces/{namespace}/leases"
        self.identity = identity or f"{os.uname().nodename}_{uuid.uuid4().hex[:8]}"
        self._renewed_at: float | None = None
        self._seen: tuple[object, object] | None = None
        self._seen_at = 0.0
        self.known = False
        self.tenure = 0
        """Grows each time that the lease is taken from nobody or from somebody else: what was
        remembered before may be behind what another leader did since."""

    @property
    def is_held(self) -> bool:
        """Whether we may write now."""
        return self._renewed_at is not None and self._clock() - self._renewed_at < RENEW_DEADLINE_S

    async def run(self) -> None:
        """Take the lease, keep it, and take it again where it was lost; until cancelled."""
        while True:
            before = self._clock()
            try:
                if await self._take():
                    self._renewed_at = before
            except ApiError as error:
                _log.warning("the lease could not be renewed: %s", error)
            renewed = self._renewed_at == before
            await asyncio.sleep(RENEW_EVERY_S if renewed else RETRY_S)

    async def release(self) -> None:
        """Let go, so that a successor need not wait for the lease to expire."""
        if not self.is_held:
            return
        self._renewed_at = None
        try:
            lease = await self._connection.get(f"{self._collection}/{self._name}")
            if documents.part(lease, "spec").get("holderIdentity") == self.identity:
                lease["spec"] |= {"holderIdentity": "", "leaseDurationSeconds": 1}
                await self._connection.replace(f"{self._collection}/{self._name}", lease)
        except ApiError as error:
            _log.warning("the lease could not be released and will expire: %s", error)

    async def _take(self) -> bool:
        """One attempt; whether we hold the lease after it."""
        path = f"{self._collection}/{self._name}"
        try:
            lease = await self._connection.get(path)
        except RefusedError as error:
            if error.status != 404:
                raise
            self.known = True
            return await self._write(None)
        self.known = True
        holder = documents.part(lease, "spec").get("holderIdentity") or ""
        if holder not in ("", self.identity) and not self._is_expired(lease):
            return False
        return await self._write(lease)

    def _is_expired(self, lease: Json) -> bool:
        """Judged by how long we saw it unchanged: clocks of machines differ."""
        spec = documents.part(lease, "spec")
        record = (spec.get("holderIdentity"), spec.get("renewTime"))
        if record != self._seen:
            self._seen, self._seen_at = record, self._clock()
        return self._clock() - self._seen_at > float(spec.get("leaseDurationSeconds") or DURATION_S)

    async def _write(self, lease: Json | None) -> bool:
        now = documents.precise_timestamp(datetime.now(UTC))
        before = documents.part(lease or {}, "spec")
        ours = before.get("holderIdentity") == self.identity
        spec: Json = {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": DURATION_S,
            "acquireTime": before.get("acquireTime") if ours else now,
            "renewTime": now,
            "leaseTransitions": int(before.get("leaseTransitions") or 0) + (0 if ours else 1),
        }
        body: Json = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": self._name, "namespace": self._namespace},
            "spec": spec,
        }
        try:
            if lease is None:
                await self._connection.create(self._collection, body)
            else:
                body["metadata"]["resourceVersion"] = lease["metadata"]["resourceVersion"]
                await self._connection.replace(f"{self._collection}/{self._name}", body)
        except RefusedError as error:
            if error.status == 409:
                return False  # somebody else was quicker
            raise
        if not ours or self.tenure == 0:
            self.tenure += 1
            _log.info("leading", extra={"identity": self.identity})
        return True
