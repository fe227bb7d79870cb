"""The few calls that the agent makes to the API server, on aiohttp.

ApiError
├── ApiUnavailableError     no answer: refused, reset, timed out
└── ApiRefusedError         an answer that is not a success; carries status and reason
    ├── NotFoundError       404
    └── ConflictError       409
"""

from __future__ import annotations

import json
import pathlib
from collections.abc import AsyncIterator, Mapping

import aiohttp

from farthing_local.agent.access import ClusterAccess, client_context
from farthing_local.agent.documents import Json

STRATEGIC_MERGE = "application/strategic-merge-patch+json"
MERGE = "application/merge-patch+json"
# The server sends a bookmark every minute; a watch that is silent for longer is dead.
_SILENCE_S = 75.0
_CALL_S = 30.0
_LARGEST_LINE_BYTES = 16 * 1024 * 1024


class ApiError(Exception):
    """A call to the API server that did not succeed."""


class ApiUnavailableError(ApiError):
    """No answer: the API server is down, restarting or cut off."""


class ApiRefusedError(ApiError):
    """The API server answered that it will not."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status, self.reason = status, reason


class NotFoundError(ApiRefusedError):
    """404."""


class ConflictError(ApiRefusedError):
    """409: it exists already, or is not the object that the precondition names."""


_REFUSALS: Mapping[int, type[ApiRefusedError]] = {404: NotFoundError, 409: ConflictError}


def refusal(status: int, document: Json) -> ApiRefusedError:
    kind = _REFUSALS.get(status, ApiRefusedError)
    return kind(status, str(document.get("reason", "")), str(document.get("message", "")))


class ApiClient:
    """One connection pool to one API server; use as an asynchronous context."""

    def __init__(self, access: ClusterAccess, scratch: pathlib.Path) -> None:
        self.access = access
        self._ssl = client_context(access, scratch)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> ApiClient:
        headers = {"Accept": "application/json", "User-Agent": "farthing-node-agent"}
        if self.access.token:
            headers["Authorization"] = f"Bearer {self.access.token}"
        self._session = aiohttp.ClientSession(
            base_url=self.access.server + "/",
            connector=aiohttp.TCPConnector(ssl=self._ssl, limit=64),
            headers=headers,
            timeout=aiohttp.ClientTimeout(total=_CALL_S),
            read_bufsize=1 << 20,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    @property
    def session(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("the client is used outside its context")
        return self._session

    async def get(self, path: str, **params: str) -> Json:
        return await self._call("GET", path, params=params)

    async def create(self, path: str, body: Json) -> Json:
        return await self._call("POST", path, body=body)

    async def patch(self, path: str, body: Json, kind: str = STRATEGIC_MERGE) -> Json:
        return await self._call("PATCH", path, body=body, content_type=kind)

    async def delete(
        self, path: str, *, grace_s: int | None = None, uid: str | None = None
    ) -> None:
        """Delete; one that is gone already, or was replaced by a namesake, counts as deleted."""
        body: Json = {"apiVersion": "v1", "kind": "DeleteOptions"}
        if grace_s is not None:
            body["gracePeriodSeconds"] = grace_s
        if uid is not None:
            body["preconditions"] = {"uid": uid}
        try:
            await self._call("DELETE", path, body=body)
        except (NotFoundError, ConflictError):
            return

    async def _call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Json | None = None,
        content_type: str = "application/json",
    ) -> Json:
        payload = None if body is None else json.dumps(body).encode()
        headers = {} if body is None else {"Content-Type": content_type}
        try:
            async with self.session.request(
                method, path.lstrip("/"), params=params, data=payload, headers=headers
            ) as answer:
                content = await answer.read()
                status = answer.status
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ApiUnavailableError(f"{method} {path}: {str(error) or repr(error)}") from error
        document = _document(content)
        if status >= 300:
            raise refusal(status, document)
        return document

    async def watch(self, path: str, **params: str) -> AsyncIterator[Json]:
        """The events of one watch until the server ends it; an ERROR event is raised."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=_SILENCE_S)
        query = {**params, "watch": "true", "allowWatchBookmarks": "true"}
        try:
            async with self.session.get(path.lstrip("/"), params=query, timeout=timeout) as answer:
                if answer.status >= 300:
                    raise refusal(answer.status, _document(await answer.read()))
                async for line in _lines(answer.content):
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        raise refusal(int(event["object"].get("code", 500)), event["object"])
                    yield event
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ApiUnavailableError(f"watch of {path}: {str(error) or repr(error)}") from error


def _document(content: bytes) -> Json:
    """The JSON object of an answer; what a proxy says in plain text becomes its message."""
    try:
        document = json.loads(content)
    except ValueError:
        return {"message": content[:200].decode(errors="replace")}
    return document if isinstance(document, dict) else {}


async def _lines(stream: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Whole lines of any length: the reader's own limit is far below a large object."""
    rest = b""
    async for chunk in stream.iter_any():
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            if line:
                yield line
        if len(rest) > _LARGEST_LINE_BYTES:
            raise ApiUnavailableError(f"a watch line is longer than {_LARGEST_LINE_BYTES} bytes")
