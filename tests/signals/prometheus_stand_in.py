"""A server that answers as Prometheus does, or as it should not."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Mapping
from typing import Any

from aiohttp import web

Values = Mapping[str, object]
"""Values by role; a role with a bound is written `latency:0.5`."""


class PrometheusStandIn:
    """Knows values of roles for workloads `namespace/name`, for the fast and the slow window."""

    def __init__(self) -> None:
        self.fast: dict[str, Values] = {}
        self.slow: dict[str, Values] = {}
        self.queries: list[str] = []
        self.extra: list[dict[str, Any]] = []
        self.status = 200
        self.body: bytes | None = None
        self.hangs = False
        self.drips = False
        self.headers: dict[str, str] = {}

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        query = request.query["query"]
        self.queries.append(query)
        if self.hangs:
            await asyncio.Event().wait()
        if self.drips:
            return await self._drip(request)
        if self.body is not None or self.status != 200:
            return web.Response(body=self.body, status=self.status, headers=self.headers)
        values = self.slow if "[120s]" in query else self.fast
        rows = [
            row
            for workload, roles in values.items()
            for role, value in roles.items()
            if (row := self._row(query, workload, role, value)) is not None
        ]
        rows += [row for row in self.extra if f'"{row["metric"]["farthing_role"]}"' in query]
        answer = {"status": "success", "data": {"resultType": "vector", "result": rows}}
        return web.Response(body=json.dumps(answer).encode())

    async def _drip(self, request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" ")
            await asyncio.sleep(0.02)

    def _row(self, query: str, workload: str, role: str, value: object) -> dict[str, Any] | None:
        role, _, bound = role.partition(":")
        if not re.search(rf'"{role}"', query):
            return None
        return row(workload, role, value, bound)


def row(workload: str, role: str, value: object, bound: str = "") -> dict[str, Any]:
    namespace, name = workload.split("/")
    metric = {
        "namespace": namespace,
        "farthing_dev_service": name,
        "farthing_role": role,
        "farthing_runtime": "0",
    }
    if bound:
        metric["le"] = bound
    return {"metric": metric, "value": [0.0, str(value)]}


@contextlib.asynccontextmanager
async def standing_in(prometheus: PrometheusStandIn) -> AsyncIterator[str]:
    """Its URL."""
    answers = web.Server(prometheus._answer, access_log=None, handler_cancellation=True)
    server = await asyncio.get_running_loop().create_server(answers, "127.77.9.1", 0)
    try:
        yield f"http://127.77.9.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await answers.shutdown(0.1)
        await server.wait_closed()
