"""Follows the replicas that Deployments ask for, and pods, at the API server: the moment of a change."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from tests.cluster_fixture import ControlPlane

from farthing_local import http_requests

Json = dict[str, Any]
SERVICE = "farthing.dev/service"


@dataclass(slots=True)
class Targets:
    """Replicas asked for by service and Deployment, as the watch has told them so far."""

    asked: dict[str, dict[str, int]] = field(default_factory=dict)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    at_s: float = 0.0

    def total(self, service: str) -> int:
        return sum(self.asked.get(service, {}).values())

    def see(self, kind: str, document: Json) -> None:
        name = document["metadata"]["labels"][SERVICE]
        found = self.asked.setdefault(name, {})
        replicas = document["spec"]["replicas"] if kind != "DELETED" else 0
        found[document["metadata"]["name"]] = int(replicas)
        self.at_s = time.time()
        self.changed.set()

    async def above(self, service: str, count: int, within_s: float) -> float | None:
        """The time at which more than `count` replicas are asked for; none when that does not come."""
        ends = time.monotonic() + within_s
        while self.total(service) <= count:
            self.changed.clear()
            try:
                await asyncio.wait_for(self.changed.wait(), max(0.01, ends - time.monotonic()))
            except TimeoutError:
                return None
        return self.at_s


async def follow(plane: ControlPlane, path: str, see: Callable[[str, Json], None]) -> None:
    """Tell `see` of every object under `path` and of every change of one, until cancelled."""
    context = http_requests.client_context(plane.home / "pki")
    connector = aiohttp.TCPConnector(ssl=context)
    unlimited = aiohttp.ClientTimeout(total=None)
    query = {"labelSelector": SERVICE, "watch": "1", "timeoutSeconds": "3600"}
    async with (
        aiohttp.ClientSession(
            plane.server, connector=connector, timeout=unlimited, read_bufsize=2**22
        ) as session,
        session.get(path, params=query) as answer,
    ):
        answer.raise_for_status()
        async for line in answer.content:
            event = json.loads(line)
            see(event["type"], event["object"])
