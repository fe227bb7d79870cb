"""A mirror that never keeps what is gone, against a server that misbehaves."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import yaml
from aiohttp import web

from farthing.kube.connection import Connection
from farthing.kube.reflector import Reflector

Document = dict[str, Any]


def pod(name: str, version: int) -> Document:
    return {"metadata": {"name": name, "namespace": "shop", "resourceVersion": str(version)}}


class Server:
    """One collection, listed in pages of two; watches do what the test queues."""

    def __init__(self) -> None:
        self.pods: dict[str, Document] = {}
        self.version = 1
        self.lists = 0
        self.events: asyncio.Queue[Document | None] = asyncio.Queue()

    def hold(self, *pods: Document) -> None:
        self.pods = {one["metadata"]["name"]: one for one in pods}
        self.version = max(int(one["metadata"]["resourceVersion"]) for one in pods)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if "watch" in request.query:
            return await self._watch(request)
        names, start = sorted(self.pods), int(request.query.get("continue", "0"))
        self.lists += start == 0
        page = [self.pods[name] for name in names[start : start + 2]]
        more = {"continue": str(start + 2)} if start + 2 < len(names) else {}
        return web.json_response(
            {
                "kind": "PodList",
                "apiVersion": "v1",
                "metadata": {"resourceVersion": str(self.version), **more},
                "items": page,
            }
        )

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while (event := await self.events.get()) is not None:
            await response.write(json.dumps(event).encode() + b"\n")
        return response


@pytest.fixture
async def server() -> Server:
    return Server()


@pytest.fixture
async def mirror(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> AsyncIterator[Reflector]:
    app = web.Application()
    app.router.add_get("/pods", server.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "it",
        "clusters": [{"name": "it", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "it", "user": {"token": "t"}}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
    }
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    monkeypatch.setenv("KUBECONFIG", str(path))
    async with Connection() as connection:
        yield Reflector(connection, "/pods")
    await runner.cleanup()


async def until(condition: Any) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - a mirror tells nobody when it is done
            await asyncio.sleep(0.005)


async def ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_all_pages_of_a_list_are_kept_and_events_change_them(
    server: Server, mirror: Reflector
) -> None:
    server.hold(pod("a", 1), pod("b", 2), pod("c", 3))
    task = asyncio.create_task(mirror.run())
    await until(lambda: mirror.synced)
    assert sorted(mirror.objects) == ["shop/a", "shop/b", "shop/c"]
    await server.events.put({"type": "DELETED", "object": pod("b", 4)})
    await server.events.put({"type": "ADDED", "object": pod("d", 5)})
    await until(lambda: "shop/d" in mirror.objects)
    assert sorted(mirror.objects) == ["shop/a", "shop/c", "shop/d"]
    await ended(task)


async def test_a_bookmark_changes_nothing_but_proves_life(
    server: Server, mirror: Reflector
) -> None:
    server.hold(pod("a", 1))
    task = asyncio.create_task(mirror.run())
    await until(lambda: mirror.synced)
    before = mirror.last_event_at
    await server.events.put({"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "9"}}})
    await until(lambda: mirror.last_event_at > before)
    assert list(mirror.objects) == ["shop/a"]
    await ended(task)


async def test_what_was_deleted_unseen_is_gone_after_a_version_is_too_old(
    server: Server, mirror: Reflector
) -> None:
    server.hold(pod("a", 1), pod("ghost", 2))
    changes: list[tuple[str | None, str | None]] = []

    def note(before: Document | None, now: Document | None) -> None:
        names = [one["metadata"]["name"] if one else None for one in (before, now)]
        changes.append((names[0], names[1]))

    mirror._on_change = note
    task = asyncio.create_task(mirror.run())
    await until(lambda: "shop/ghost" in mirror.objects)
    server.hold(pod("a", 1), pod("b", 8))
    gone = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}
    await server.events.put({"type": "ERROR", "object": gone})
    await until(lambda: "shop/b" in mirror.objects)
    assert sorted(mirror.objects) == ["shop/a", "shop/b"]
    assert changes == [(None, "a"), (None, "ghost"), ("ghost", None), (None, "b")]
    assert server.lists == 2
    await ended(task)


async def test_a_watch_that_ends_goes_on_without_a_new_list(
    server: Server, mirror: Reflector
) -> None:
    server.hold(pod("a", 1))
    task = asyncio.create_task(mirror.run())
    await until(lambda: mirror.synced)
    await server.events.put(None)
    await server.events.put({"type": "MODIFIED", "object": pod("a", 7)})
    await until(lambda: mirror.objects["shop/a"]["metadata"]["resourceVersion"] == "7")
    assert server.lists == 1
    await ended(task)


async def test_an_older_state_never_replaces_the_answer_to_our_own_write(
    server: Server, mirror: Reflector
) -> None:
    mirror.learn(pod("a", 9))
    mirror.learn(pod("a", 8))
    assert mirror.objects["shop/a"]["metadata"]["resourceVersion"] == "9"
