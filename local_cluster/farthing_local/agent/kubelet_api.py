"""The part of a kubelet's HTTPS interface that the API server asks: logs and health."""

from __future__ import annotations

import ssl
from collections.abc import Callable

from aiohttp import web

from farthing_local.agent import container_logs
from farthing_local.agent.container import Container
from farthing_local.agent.pod import Pod

_UNAVAILABLE = ("sinceSeconds", "sinceTime", "timestamps")


def server_context(certificate: str, key: str, client_ca: str) -> ssl.SSLContext:
    """TLS that only clients of the cluster's own authority may open."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=client_ca)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(certificate, key)
    return context


def application(find: Callable[[str, str], Pod | None]) -> web.Application:
    async def logs(request: web.Request) -> web.StreamResponse:
        pod = find(request.match_info["namespace"], request.match_info["pod"])
        container = None if pod is None else pod.container(request.match_info["container"])
        if container is None:
            raise web.HTTPNotFound(text="no such container here, or it has not started yet\n")
        return await _send_logs(request, container)

    async def health(_: web.Request) -> web.Response:
        return web.Response(text="ok")

    app = web.Application()
    app.router.add_get("/containerLogs/{namespace}/{pod}/{container}", logs)
    app.router.add_get("/healthz", health)
    return app


async def _send_logs(request: web.Request, container: Container) -> web.StreamResponse:
    query = request.query
    for key in _UNAVAILABLE:
        if query.get(key) not in (None, "", "false"):
            raise web.HTTPBadRequest(
                text=f"{key}={query[key]}: not available, lines are kept without their time\n"
            )
    lines, limit_bytes = _count(query.get("tailLines")), _count(query.get("limitBytes"))
    run = container.view.restart_count - (query.get("previous") == "true")
    path = container.logs.path(run)
    if not path.exists():
        raise web.HTTPBadRequest(text="no such run of the container has left logs\n")
    wants_more = query.get("follow") == "true"

    def follow() -> bool:
        return wants_more and container.is_running and container.view.restart_count == run

    answer = web.StreamResponse(headers={"Content-Type": "text/plain"})
    await answer.prepare(request)
    sent_bytes = 0
    async for chunk in container_logs.read(path, container_logs.tail_offset(path, lines), follow):
        rest = chunk if limit_bytes is None else chunk[: limit_bytes - sent_bytes]
        await answer.write(rest)
        sent_bytes += len(rest)
        if limit_bytes is not None and sent_bytes >= limit_bytes:
            break
    await answer.write_eof()
    return answer


def _count(text: str | None) -> int | None:
    if text is None:
        return None
    if not text.isdigit():
        raise web.HTTPBadRequest(text=f"{text!r}: must be a whole number\n")
    return int(text)
