"""A mirror of one collection of the API server, kept by list and watch on raw JSON.

What was deleted while nobody watched is noticed at the next list and told as a deletion: a
ghost would keep its share of a budget for ever.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable

from farthing.kube import documents
from farthing.kube.connection import ApiError, Connection, RefusedError, UnavailableError
from farthing.kube.documents import Json

Trim = Callable[[Json], Json]
# Told of every change: what was known before and what is known now; None where there is none.
OnChange = Callable[[Json | None, Json | None], None]

_log = logging.getLogger(__name__)
_PAGE = "500"
_SHORTEST_WAIT_S = 0.1
_LONGEST_WAIT_S = 10.0


async def list_all(
    connection: Connection, path: str, selector: str | None = None
) -> tuple[list[Json], str]:
    """All objects of a collection, in pages, and the version that the list is of."""
    found: list[Json] = []
    params = {"limit": _PAGE, **({"labelSelector": selector} if selector else {})}
    while True:
        page = await connection.get(path, **params)
        kind = str(page.get("kind", "")).removesuffix("List")
        # Items of a list do not say what they are.
        what = {"apiVersion": page.get("apiVersion"), "kind": kind}
        found.extend({**what, **one} for one in page.get("items") or [])
        metadata = documents.part(page, "metadata")
        if not metadata.get("continue"):
            return found, str(metadata.get("resourceVersion", ""))
        params["continue"] = str(metadata["continue"])


class Reflector:
    """Keeps `objects` by `namespace/name`; objects are what `trim` leaves of them."""

    def __init__(
        self,
        connection: Connection,
        path: str,
        *,
        trim: Trim = documents.without_managed_fields,
        selector: str | None = None,
        on_change: OnChange | None = None,
    ) -> None:
        self._connection, self._path, self._trim = connection, path, trim
        self._selector, self._on_change = selector, on_change
        self._failures = 0
        self.objects: dict[str, Json] = {}
        self.synced = False
        self.last_event_at = time.monotonic()

    async def run(self) -> None:
        """Mirror until cancelled; an API server that is away is asked again and again."""
        version: str | None = None
        while True:
            try:
                if version is None:
                    version = await self._list()
                version = await self._watch(version)
            except UnavailableError as error:
                # The version is kept: where nothing was compacted, the watch goes on from it.
                await self._pause(error)
            except RefusedError as error:
                version = None
                await self._pause(error)

    async def _pause(self, error: ApiError) -> None:
        longest = min(_LONGEST_WAIT_S, _SHORTEST_WAIT_S * 2.0 ** min(self._failures, 10))
        wait_s = longest * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing
        level = logging.WARNING if self._failures == 3 else logging.DEBUG
        _log.log(level, "%s: %s; again in %.1f s", self._path, error, wait_s)
        self._failures += 1
        await asyncio.sleep(wait_s)

    async def _list(self) -> str:
        listed, version = await list_all(self._connection, self._path, self._selector)
        found = {documents.key(one): one for one in listed}
        for name in [name for name in self.objects if name not in found]:
            self._forget(name)
        for name, one in found.items():
            self._keep(name, one)
        self.synced = True
        self._alive()
        return version

    async def _watch(self, version: str) -> str:
        params = {"resourceVersion": version}
        if self._selector:
            params["labelSelector"] = self._selector
        try:
            async for event in self._connection.watch(self._path, params):
                one = event["object"]
                version = str(one["metadata"]["resourceVersion"])
                if event["type"] == "DELETED":
                    self._forget(documents.key(one))
                elif event["type"] in ("ADDED", "MODIFIED"):
                    self._keep(documents.key(one), one)
                self._alive()
        except UnavailableError as error:
            await self._pause(error)
        else:
            # A server that ends watches at once must not be asked in a tight loop.
            await asyncio.sleep(_SHORTEST_WAIT_S)
        return version

    def _alive(self) -> None:
        self._failures = 0
        self.last_event_at = time.monotonic()

    def learn(self, document: Json) -> None:
        """Take the answer to a write of ours, so that the next tick sees it before the watch does."""
        self._keep(documents.key(document), document)

    def _keep(self, name: str, one: Json) -> None:
        before = self.objects.get(name)
        if before is not None and documents.version(one) < documents.version(before):
            return
        now = self._trim(one)
        self.objects[name] = now
        if self._on_change is not None and now != before:
            self._on_change(before, now)

    def _forget(self, name: str) -> None:
        before = self.objects.pop(name, None)
        if self._on_change is not None and before is not None:
            self._on_change(before, None)
