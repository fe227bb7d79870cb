"""Events about pods and nodes, as `kubectl describe` shows them.

A repeated event raises the count of the first one. Events are told, never relied upon: one that
cannot be written is dropped.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging

from farthing_local.agent.api import MERGE, ApiClient, ApiError, ConflictError
from farthing_local.agent.documents import Json, name, now, timestamp, uid

_log = logging.getLogger(__name__)
_REMEMBERED = 1000


class EventRecorder:
    def __init__(self, api: ApiClient) -> None:
        self._api = api
        self._counts: dict[tuple[str, str, str], int] = {}
        self._writes: set[asyncio.Task[None]] = set()

    def record(self, kind: str, subject: Json, reason: str, message: str, *, warning: bool) -> None:
        key = (uid(subject), reason, message)
        if len(self._counts) > _REMEMBERED:
            self._counts.clear()
        self._counts[key] = self._counts.get(key, 0) + 1
        document = _event(kind, subject, reason, message, "Warning" if warning else "Normal")
        task = asyncio.create_task(self._write(document, self._counts[key]))
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)

    async def _write(self, document: Json, count: int) -> None:
        collection = f"/api/v1/namespaces/{document['metadata']['namespace']}/events"
        try:
            if count == 1:
                try:
                    await self._api.create(collection, document)
                    return
                except ConflictError:
                    pass
            again = {"count": count, "lastTimestamp": document["lastTimestamp"]}
            await self._api.patch(f"{collection}/{name(document)}", again, MERGE)
        except ApiError as error:
            _log.debug("event %s dropped: %s", document["reason"], error)


def _event(kind: str, subject: Json, reason: str, message: str, severity: str) -> Json:
    metadata = subject["metadata"]
    digest = hashlib.sha256(f"{metadata['uid']}/{reason}/{message}".encode()).hexdigest()[:16]
    at = timestamp(now())
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": f"{metadata['name'][:200]}.{digest}",
            "namespace": metadata.get("namespace", "default"),
        },
        "involvedObject": {
            "apiVersion": "v1",
            "kind": kind,
            "name": metadata["name"],
            "namespace": metadata.get("namespace", ""),
            "uid": metadata["uid"],
        },
        "reason": reason,
        "message": message,
        "type": severity,
        "source": {"component": "kubelet"},
        "reportingComponent": "kubelet",
        "reportingInstance": "node-agent",
        "firstTimestamp": at,
        "lastTimestamp": at,
        "count": 1,
    }
