"""A mirror of one collection of the API server, kept by list and watch.

What was deleted while nobody watched is noticed at the next list, and told as a deletion.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from enum import StrEnum

from farthing_local.agent.api import ApiClient, ApiError, ApiRefusedError, ApiUnavailableError
from farthing_local.agent.documents import Json, uid

_log = logging.getLogger(__name__)
_LONGEST_WAIT_S = 5.0


class Change(StrEnum):
    UPSERTED = "Upserted"
    DELETED = "Deleted"


OnChange = Callable[[Change, Json], None]


class Reflector:
    """Tells `on_change` of every object; objects are known by uid, so a namesake is another."""

    def __init__(
        self, api: ApiClient, path: str, on_change: OnChange, field_selector: str | None = None
    ) -> None:
        self._api, self._path, self._on_change = api, path, on_change
        self._selection = {} if field_selector is None else {"fieldSelector": field_selector}
        self._failures = 0
        self.objects: dict[str, Json] = {}
        self.synced = asyncio.Event()

    async def run(self) -> None:
        """Mirror until cancelled; an API server that is away is asked again and again."""
        version: str | None = None
        while True:
            try:
                if version is None:
                    version = await self._list()
                version = await self._watch(version)
                self._failures = 0
            except ApiUnavailableError as error:
                # The version is kept: where nothing was compacted, the watch goes on from it.
                await self._pause(error)
            except ApiRefusedError as error:
                version = None
                await self._pause(error)

    async def _pause(self, error: ApiError) -> None:
        wait_s = min(_LONGEST_WAIT_S, 0.1 * 2.0**self._failures) * random.uniform(0.5, 1.0)  # noqa: S311
        level = logging.WARNING if self._failures == 3 else logging.DEBUG
        _log.log(level, "%s: %s; again in %.1f s", self._path, error, wait_s)
        self._failures += 1
        await asyncio.sleep(wait_s)

    async def _list(self) -> str:
        document = await self._api.get(self._path, **self._selection)
        found = {uid(one): one for one in document.get("items") or []}
        for gone in [self.objects[key] for key in self.objects.keys() - found.keys()]:
            self._forget(gone)
        for one in found.values():
            self._keep(one)
        self.synced.set()
        self._failures = 0
        return str(document["metadata"]["resourceVersion"])

    async def _watch(self, version: str) -> str:
        events = self._api.watch(
            self._path, resourceVersion=version, timeoutSeconds="300", **self._selection
        )
        async for event in events:
            one = event["object"]
            version = str(one["metadata"]["resourceVersion"])
            if event["type"] == "DELETED":
                self._forget(one)
            elif event["type"] in ("ADDED", "MODIFIED"):
                self._keep(one)
        return version

    def _keep(self, one: Json) -> None:
        one["metadata"].pop("managedFields", None)
        self.objects[uid(one)] = one
        self._on_change(Change.UPSERTED, one)

    def _forget(self, one: Json) -> None:
        self.objects.pop(uid(one), None)
        self._on_change(Change.DELETED, one)
