"""The HTTP side: raw ASGI, because a framework would cost more than everything else here."""

from __future__ import annotations

import asyncio
import dataclasses
import math
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import orjson

from farthing_server import VERSION, access_log, bodies, metrics, model, protocol
from farthing_server.connections import ConnectionAges
from farthing_server.engine import Engine
from farthing_server.errors import RefusedError, RequestError
from farthing_server.metrics import Metrics
from farthing_server.model import Model
from farthing_server.tensors import bad

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

JSON = b"application/json"
DEADLINE = b"farthing-deadline-milliseconds"
MAXIMUM_DEADLINE_MS = 600_000.0
STARTING_RETRY_S = 5.0


@dataclasses.dataclass(slots=True)
class Lifecycle:
    """Where the process is between its start and its end."""

    ready: bool = False
    leaving: bool = False  # SIGTERM came: not ready, connections are closed after their answer
    refusing: bool = False  # the endpoints had their time to change: new requests get 503
    being_answered: int = 0
    quiet: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)

    def entered(self) -> None:
        self.being_answered += 1
        self.quiet.clear()

    def left(self) -> None:
        self.being_answered -= 1
        if not self.being_answered:
            self.quiet.set()


@dataclasses.dataclass(slots=True)
class Answer:
    status: int
    body: bytes
    content_type: bytes = JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()


class App:
    def __init__(
        self,
        *,
        name: str,
        slo_s: float,
        engine: Engine,
        served: Model,
        counted: Metrics,
        connections: ConnectionAges,
        log: access_log.AccessLog | None,
    ) -> None:
        self.lifecycle = Lifecycle()
        self._name = name
        self._slo_s = slo_s
        self._engine = engine
        self._served = served
        self._counted = counted
        self._connections = connections
        self._log = log
        self._bodies = bodies.Bodies()
        paths = [f"/v2/models/{name}", f"/v2/models/{name}/versions/{model.VERSION}"]
        self._infer_paths = frozenset(f"{path}/infer" for path in paths)
        self._pages: dict[str, Callable[[], Answer]] = {
            "/metrics": self._metrics,
            "/v2": self._server,
            "/v2/": self._server,
            "/v2/health/live": self._live,
            "/v2/health/ready": self._ready,
            **dict.fromkeys(paths, self._model),
            **{f"{path}/ready": self._model_ready for path in paths},
        }

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        path = scope["path"]
        if path in self._infer_paths:
            if scope["method"] == "POST":
                await self._inference(scope, receive, send)
                return
            answer = not_allowed("POST")
        elif (page := self._pages.get(path)) is not None:
            answer = page() if scope["method"] == "GET" else not_allowed("GET")
        else:
            answer = failure(RequestError(404, self._unknown(path)))
        await self._send(send, answer)

    def _unknown(self, path: str) -> str:
        parts = path.split("/")
        if path.startswith("/v2/models/") and len(parts) > 3:
            if parts[3] != self._name:
                return f'model "{parts[3][:80]}" is not served here; "{self._name}" is'
            if parts[4:5] == ["versions"] and parts[5:6] != [model.VERSION]:
                return f'model "{self._name}" has version "{model.VERSION}" only'
        return f"no such page: {path[:80]}"

    async def _inference(
        self, scope: MutableMapping[str, Any], receive: Receive, send: Send
    ) -> None:
        self._counted.arrived += 1
        self.lifecycle.entered()
        started_s = time.monotonic()
        items = 0
        try:
            try:
                answer, items = await self._infer(scope, receive)
            except RequestError as error:
                answer = failure(error)
                if isinstance(error, RefusedError):
                    self._counted.refused[error.reason] += 1
                else:
                    self._counted.failed += 1
            else:
                self._counted.answered(time.monotonic() - started_s)
            due = self._connections.is_due(scope["client"], time.monotonic())
            await self._send(send, answer, close=due)
        finally:
            self.lifecycle.left()
        if self._log is not None:
            self._log.write(
                path=scope["path"],
                status=answer.status,
                items=items,
                latency_s=time.monotonic() - started_s,
                bytes_out=len(answer.body),
            )

    async def _infer(self, scope: MutableMapping[str, Any], receive: Receive) -> tuple[Answer, int]:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        body = await self._bodies.read(headers, receive)
        arrived_s = time.monotonic()
        if self.lifecycle.refusing:
            raise RefusedError("draining", "this replica is leaving; ask another one", 1.0)
        if not self.lifecycle.ready:
            raise RefusedError("not_ready", "the model is not loaded yet", STARTING_RETRY_S)
        header_length = headers.get(protocol.HEADER_LENGTH.encode())
        request = protocol.decode(
            body, None if header_length is None else header_length.decode("latin-1")
        )
        protocol.check_outputs(request, self._served.outputs)
        items = self._served.items(request)
        deadline_s = arrived_s + self._allowed_s(headers.get(DEADLINE))
        rows = await self._engine.infer(items, arrived_s, deadline_s)
        content, json_length = protocol.encode(
            request, self._name, model.VERSION, self._served.output(rows)
        )
        if json_length is None:
            return Answer(200, content), len(items)
        length = (protocol.HEADER_LENGTH.encode(), str(json_length).encode())
        return Answer(200, content, b"application/octet-stream", (length,)), len(items)

    def _allowed_s(self, header: bytes | None) -> float:
        """The SLO, or the client's own deadline where that is shorter."""
        if header is None:
            return self._slo_s
        try:
            milliseconds = float(header)
        except ValueError:
            milliseconds = math.nan
        if not 0 < milliseconds <= MAXIMUM_DEADLINE_MS:
            raise bad(
                f"{DEADLINE.decode()}: {header[:40].decode('latin-1')!r} is not allowed; "
                f"a number of milliseconds above 0, at most {MAXIMUM_DEADLINE_MS:.0f}"
            )
        return min(self._slo_s, milliseconds / 1e3)

    def _metrics(self) -> Answer:
        return Answer(200, self._counted.render(), metrics.CONTENT_TYPE)

    def _server(self) -> Answer:
        return page(
            {"name": "farthing_server", "version": VERSION, "extensions": ["binary_tensor_data"]}
        )

    def _live(self) -> Answer:
        if self._engine.stuck():
            return failure(RequestError(503, "a batch does not end: the model is stuck"))
        return page({"live": True})

    def _ready(self) -> Answer:
        if (problem := self._unready()) is not None:
            return failure(RequestError(503, problem))
        return page({"ready": True})

    def _model(self) -> Answer:
        return page(
            {
                "name": self._name,
                "versions": [model.VERSION],
                "platform": self._served.platform,
                "inputs": [spec.document() for spec in self._served.inputs],
                "outputs": [spec.document() for spec in self._served.outputs],
            }
        )

    def _model_ready(self) -> Answer:
        if (problem := self._unready()) is not None:
            return failure(RequestError(503, problem))
        return page({"name": self._name, "ready": True})

    def _unready(self) -> str | None:
        if self.lifecycle.leaving:
            return "leaving: this replica was asked to stop"
        if not self.lifecycle.ready:
            return "starting: the model is not warm yet"
        return None

    async def _send(self, send: Send, answer: Answer, *, close: bool = False) -> None:
        headers = [
            (b"content-type", answer.content_type),
            (b"content-length", str(len(answer.body)).encode()),
            *answer.headers,
        ]
        if close or self.lifecycle.leaving:
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})


def page(document: object) -> Answer:
    return Answer(200, orjson.dumps(document))


def failure(error: RequestError) -> Answer:
    headers: tuple[tuple[bytes, bytes], ...] = ()
    if isinstance(error, RefusedError):
        headers = ((b"retry-after", str(max(1, math.ceil(error.retry_after_s))).encode()),)
    if error.close or isinstance(error, RefusedError):
        # Who was refused here may find room elsewhere: the next connection meets a replica chosen anew.
        headers = (*headers, (b"connection", b"close"))
    return Answer(error.status, orjson.dumps({"error": error.message}), headers=headers)


def not_allowed(method: str) -> Answer:
    answer = failure(RequestError(405, f"this page answers {method}"))
    answer.headers = ((b"allow", method.encode()),)
    return answer
