"""The mirror of a collection, against a server that says exactly what each story needs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import pathlib
from collections.abc import AsyncIterator

from aiohttp import web

from farthing_local.agent.access import ClusterAccess
from farthing_local.agent.api import ApiClient
from farthing_local.agent.documents import Json
from farthing_local.agent.reflector import Change, Reflector


def item(uid: str, version: int) -> Json:
    return {"metadata": {"uid": uid, "name": uid, "resourceVersion": str(version)}}


class Story:
    """Answers the n-th list with the n-th listing, and the n-th watch with the n-th events."""

    def __init__(self, lists: list[list[Json]], watches: list[list[Json]]) -> None:
        self.lists, self.watches = lists, watches
        self.asked: list[str] = []
        self.told: list[tuple[Change, str]] = []
        self.finished = asyncio.Event()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if "watch" not in request.query:
            self.asked.append("list")
            listed = {"metadata": {"resourceVersion": "10"}, "items": self.lists.pop(0)}
            return web.json_response(listed)
        self.asked.append(f"watch from {request.query['resourceVersion']}")
        stream = web.StreamResponse()
        await stream.prepare(request)
        if not self.watches:
            self.finished.set()
            await asyncio.sleep(60)
        for event in self.watches.pop(0):
            await stream.write(json.dumps(event).encode() + b"\n")
        return stream

    def tell(self, change: Change, one: Json) -> None:
        self.told.append((change, one["metadata"]["uid"]))


@contextlib.asynccontextmanager
async def mirrored(story: Story, folder: pathlib.Path) -> AsyncIterator[Reflector]:
    app = web.Application()
    app.router.add_get("/things", story.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    access = ClusterAccess(server=f"http://127.0.0.1:{runner.addresses[0][1]}", authority_pem="")
    async with ApiClient(access, folder) as api:
        reflector = Reflector(api, "/things", story.tell)
        task = asyncio.create_task(reflector.run())
        await asyncio.wait_for(story.finished.wait(), 10)
        yield reflector
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    await runner.cleanup()


UPSERTED, DELETED = Change.UPSERTED, Change.DELETED


async def test_what_vanished_while_nobody_watched_is_told_as_deleted(
    tmp_path: pathlib.Path,
) -> None:
    gone = {"type": "ERROR", "object": {"code": 410, "reason": "Expired"}}
    story = Story([[item("a", 1), item("b", 2)], [item("b", 2), item("c", 9)]], [[gone]])
    async with mirrored(story, tmp_path) as reflector:
        assert sorted(reflector.objects) == ["b", "c"]
    assert story.told == [
        (UPSERTED, "a"),
        (UPSERTED, "b"),
        (DELETED, "a"),
        (UPSERTED, "b"),
        (UPSERTED, "c"),
    ]
    assert story.asked == ["list", "watch from 10", "list", "watch from 10"]


async def test_a_watch_goes_on_from_the_last_event_or_bookmark(tmp_path: pathlib.Path) -> None:
    events = [
        {"type": "ADDED", "object": item("a", 11)},
        {"type": "MODIFIED", "object": item("a", 12)},
        {"type": "DELETED", "object": item("a", 13)},
    ]
    bookmark = {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "20"}}}
    story = Story([[]], [events, [bookmark]])
    async with mirrored(story, tmp_path) as reflector:
        assert reflector.objects == {}
    assert story.told == [(UPSERTED, "a"), (UPSERTED, "a"), (DELETED, "a")]
    assert story.asked == ["list", "watch from 10", "watch from 13", "watch from 20"]


async def test_an_object_of_any_size_arrives_whole(tmp_path: pathlib.Path) -> None:
    large = item("a", 11) | {"text": "x" * 3_000_000}
    story = Story([[]], [[{"type": "ADDED", "object": large}]])
    async with mirrored(story, tmp_path) as reflector:
        assert reflector.objects == {"a": large}


async def test_an_api_server_that_comes_back_is_watched_from_where_it_was_left(
    tmp_path: pathlib.Path,
) -> None:
    event = {"type": "ADDED", "object": item("a", 11)}
    story = Story([[]], [[event]])
    app = web.Application()
    app.router.add_get("/things", story.answer)
    first = web.AppRunner(app, shutdown_timeout=0.1)
    await first.setup()
    await web.TCPSite(first, "127.0.0.1", 0).start()
    port = first.addresses[0][1]
    access = ClusterAccess(server=f"http://127.0.0.1:{port}", authority_pem="")
    async with ApiClient(access, tmp_path) as api:
        task = asyncio.create_task(Reflector(api, "/things", story.tell).run())
        await asyncio.wait_for(story.finished.wait(), 10)
        await first.cleanup()
        story.finished.clear()
        other = web.Application()
        other.router.add_get("/things", story.answer)
        second = web.AppRunner(other, shutdown_timeout=0.1)
        await second.setup()
        await web.TCPSite(second, "127.0.0.1", port).start()
        await asyncio.wait_for(story.finished.wait(), 10)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await second.cleanup()
    assert story.told == [(UPSERTED, "a")]
    assert story.asked == ["list", "watch from 10", "watch from 11", "watch from 11"]
