"""One connection pool to the API server, and the few calls that the operator makes.

Where the server is and who we are comes from `kubernetes.aio`; the requests are our own,
since raw JSON costs a fraction of typed models where thousands of objects are watched.

ApiError
├── AccessError         no usable credentials: neither KUBECONFIG nor a ServiceAccount
├── UnavailableError    no answer: refused, reset, timed out
└── RefusedError        an answer that is not a success; carries status and reason
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import ssl
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import yaml
from kubernetes.aio import config
from kubernetes.aio.client import Configuration

from farthing.kube.documents import Json

APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
FIELD_MANAGER = "farthing"

_log = logging.getLogger(__name__)
_READ_S = 15.0
# A write is over, one way or the other, before another process may take our lease: it starts
# within the lease's renew deadline of 10 s, and others wait for 15 s.
_WRITE_S = 5.0
_CONNECT_S = 5.0
# The server sends a bookmark every minute: a watch that is silent for longer is dead.
_SILENCE_S = 70.0
_RELOAD_S = 60.0
_LONGEST_LINE_BYTES = 16 * 1024 * 1024


class ApiError(Exception):
    """A call to the API server that did not succeed."""


class AccessError(ApiError):
    """There is no way to log in."""


class UnavailableError(ApiError):
    """No answer."""


class RefusedError(ApiError):
    """The API server answered that it will not."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status, self.reason, self.message = status, reason, message


@dataclass(frozen=True, slots=True)
class Access:
    """Where the API server is and how to log in. `authorization` is a secret: never logged."""

    host: str
    authority_file: str | None
    certificate_file: str | None
    key_file: str | None
    verify: bool
    authorization: str | None

    def context(self) -> ssl.SSLContext:
        """The TLS side of it."""
        context = ssl.create_default_context(cafile=self.authority_file)
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.certificate_file:
            context.load_cert_chain(self.certificate_file, self.key_file)
        return context


async def load_access() -> Access:
    """Read KUBECONFIG where it is set, else the files of the pod's ServiceAccount."""
    configuration = Configuration()
    path = os.environ.get("KUBECONFIG")
    try:
        if path:
            await config.load_kube_config(  # type: ignore[no-untyped-call]
                config_file=path, client_configuration=configuration, persist_config=False
            )
        else:
            config.load_incluster_config(  # type: ignore[no-untyped-call]
                client_configuration=configuration
            )
    except (config.ConfigException, OSError, yaml.YAMLError) as error:
        source = f"KUBECONFIG {path!r}" if path else "the pod's ServiceAccount"
        raise AccessError(
            f"{source} gives no access to an API server: {error}; allowed: KUBECONFIG naming a "
            "kubeconfig file, or a pod with a ServiceAccount token"
        ) from error
    token = await configuration.get_api_key_with_prefix("BearerToken")
    return Access(
        host=configuration.host.rstrip("/"),
        authority_file=configuration.ssl_ca_cert,
        certificate_file=configuration.cert_file,
        key_file=configuration.key_file,
        verify=bool(configuration.verify_ssl),
        authorization=f"Bearer {token.split()[-1]}" if token else None,
    )


class Connection:
    """Requests to one API server; use as an asynchronous context."""

    def __init__(self) -> None:
        self._access: Access | None = None
        self._loaded_at = 0.0
        self._session: aiohttp.ClientSession | None = None
        self._loading = asyncio.Lock()

    async def __aenter__(self) -> Connection:
        access = await self.access()
        context = access.context() if access.host.startswith("https") else True
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=context, limit=64),
            headers={"Accept": "application/json", "User-Agent": "farthing-operator"},
            timeout=aiohttp.ClientTimeout(total=_READ_S, sock_connect=_CONNECT_S),
            trust_env=False,
            read_bufsize=1 << 20,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def access(self) -> Access:
        """The credentials, read again once a minute since tokens are rotated on disk."""
        async with self._loading:
            if self._access is None or time.monotonic() - self._loaded_at > _RELOAD_S:
                try:
                    self._access = await load_access()
                except AccessError:
                    if self._access is None:
                        raise
                    _log.warning("the credentials could not be read again; the old ones stay")
                self._loaded_at = time.monotonic()
            return self._access

    @property
    def session(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("the connection is used outside its context")
        return self._session

    async def get(self, path: str, **params: str) -> Json:
        return await self._call("GET", path, params=params)

    async def create(self, path: str, body: Json, **params: str) -> Json:
        return await self._call("POST", path, body=body, params=params)

    async def replace(self, path: str, body: Json) -> Json:
        return await self._call("PUT", path, body=body)

    async def apply(self, path: str, body: Json, *, force: bool) -> Json:
        """Server-side apply of the fields that `body` names."""
        params = {"fieldManager": FIELD_MANAGER, "force": str(force).lower()}
        return await self._call("PATCH", path, body=body, params=params, content_type=APPLY)

    async def merge(self, path: str, body: Json) -> Json:
        params = {"fieldManager": FIELD_MANAGER}
        return await self._call("PATCH", path, body=body, params=params, content_type=MERGE)

    async def delete(self, path: str, *, uid: str) -> None:
        """Delete this very object; gone already or replaced by a namesake counts as deleted."""
        body: Json = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Background",
            "preconditions": {"uid": uid},
        }
        try:
            await self._call("DELETE", path, body=body)
        except RefusedError as error:
            if error.status not in (404, 409):
                raise

    async def watch(self, path: str, params: Mapping[str, str]) -> AsyncIterator[Json]:
        """The events of one watch until the server ends it; an ERROR event is raised."""
        query = {**params, "watch": "true", "allowWatchBookmarks": "true", "timeoutSeconds": "300"}
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S, sock_read=_SILENCE_S)
        try:
            access = await self.access()
            async with self.session.get(
                access.host + path, params=query, timeout=timeout, headers=_headers(access)
            ) as answer:
                if answer.status >= 300:
                    raise _refusal(answer.status, await answer.read())
                async for line in _lines(answer.content):
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        status = event["object"]
                        raise _refused(int(status.get("code", 500)), status)
                    yield event
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise UnavailableError(f"watch of {path}: {error!r}") from error

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
        access = await self.access()
        headers = _headers(access)
        if body is not None:
            headers["Content-Type"] = content_type
        limit_s = _READ_S if method == "GET" else _WRITE_S
        timeout = aiohttp.ClientTimeout(total=limit_s, sock_connect=_CONNECT_S)
        try:
            async with self.session.request(
                method,
                access.host + path,
                params=params,
                data=payload,
                headers=headers,
                timeout=timeout,
            ) as answer:
                content, status = await answer.read(), answer.status
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise UnavailableError(f"{method} {path}: {error!r}") from error
        if status == 401:
            self._loaded_at = 0.0  # the token was rotated: read it again for the next call
        if status >= 300:
            raise _refusal(status, content)
        return _document(content)


def _headers(access: Access) -> dict[str, str]:
    return {"Authorization": access.authorization} if access.authorization else {}


def _document(content: bytes) -> Json:
    """The JSON object of an answer; what a proxy says in plain text becomes its message."""
    try:
        document: Any = json.loads(content)
    except ValueError:
        return {"message": content[:200].decode(errors="replace")}
    return document if isinstance(document, dict) else {}


def _refusal(status: int, content: bytes) -> RefusedError:
    return _refused(status, _document(content))


def _refused(status: int, document: Json) -> RefusedError:
    return RefusedError(status, str(document.get("reason", "")), str(document.get("message", "")))


async def _lines(stream: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Whole lines of any length: the reader's own limit is far below a large object."""
    rest = b""
    async for chunk in stream.iter_any():
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            if line:
                yield line
        if len(rest) > _LONGEST_LINE_BYTES:
            raise UnavailableError(f"a watch line is longer than {_LONGEST_LINE_BYTES} bytes")
