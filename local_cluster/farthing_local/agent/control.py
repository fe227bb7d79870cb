"""The agent's own control interface, on a Unix socket that only its user can open.

GET  /status       nodes, Services, pods by phase
POST /interrupt    {"node": NAME or null, "pool": NAME or null, "noticeSeconds": 30,
                    "replace": true, "replaceAfterSeconds": 30}
"""

from __future__ import annotations

import json

from aiohttp import web

from farthing_local.agent import nodes
from farthing_local.agent.api import ApiError
from farthing_local.agent.documents import Json
from farthing_local.agent.interruptions import (
    InterruptionRequest,
    Interruptions,
    InvalidRequestError,
)
from farthing_local.agent.node_fleet import NodeFleet
from farthing_local.agent.pods import PodSet
from farthing_local.agent.services import ServiceProxy


def application(
    fleet: NodeFleet, pods: PodSet, services: ServiceProxy, interruptions: Interruptions
) -> web.Application:
    async def status(_: web.Request) -> web.Response:
        return web.json_response(
            {
                "nodes": [_node(fleet, pods, node) for node in fleet.names()],
                "phases": pods.phase_counts(),
                "services": services.describe(),
            }
        )

    async def interrupt(request: web.Request) -> web.Response:
        try:
            wanted = InterruptionRequest.of(json.loads(await request.text() or "{}"))
            return web.json_response(await interruptions.begin(wanted))
        except (InvalidRequestError, ValueError) as error:
            return web.json_response({"error": str(error)}, status=400)
        except ApiError as error:
            return web.json_response({"error": str(error)}, status=503)

    app = web.Application()
    app.router.add_get("/status", status)
    app.router.add_post("/interrupt", interrupt)
    return app


def _node(fleet: NodeFleet, pods: PodSet, node: str) -> Json:
    pool = fleet.pool_of(node)
    return {
        "name": node,
        "pool": None if pool is None else pool.name,
        "capacityType": None if pool is None else pool.capacity_type,
        "interrupted": nodes.is_interrupted(fleet.objects.get(node, {})),
        "pods": len(pods.on_node(node)),
    }
