"""Short HTTP requests to the cluster's own components, which never go through a proxy."""

from __future__ import annotations

import http.client
import json
import pathlib
import socket
import ssl
from dataclasses import dataclass
from typing import Any

_TIMEOUT_S = 5.0


class NoAnswerError(Exception):
    """Nobody listens, or what answers is not what was expected; says what happened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int
    body: bytes

    def document(self) -> Any:
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise NoAnswerError(f"the answer is not JSON: {self.body[:80]!r}") from error


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: pathlib.Path, *, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def client_context(pki: pathlib.Path, pair: str = "admin") -> ssl.SSLContext:
    """Trust this cluster's authority only, and be the client that this pair stands for."""
    context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
    context.load_cert_chain(pki / f"{pair}.crt", pki / f"{pair}.key")
    return context


def over_tls(port: int, path: str, context: ssl.SSLContext) -> Answer:
    connection = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=_TIMEOUT_S)
    return _request(connection, "GET", path, None)


def over_http(port: int, path: str) -> Answer:
    return _request(http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_S), "GET", path)


def over_socket(
    socket_path: pathlib.Path, method: str, path: str, document: object = None
) -> Answer:
    connection = UnixConnection(socket_path, timeout_s=_TIMEOUT_S)
    body = None if document is None else json.dumps(document).encode()
    return _request(connection, method, path, body)


def _request(
    connection: http.client.HTTPConnection, method: str, path: str, body: bytes | None = None
) -> Answer:
    headers = {} if body is None else {"Content-Type": "application/json"}
    try:
        connection.request(method, path, body=body, headers=headers)
        response = connection.getresponse()
        return Answer(status=response.status, body=response.read())
    except (OSError, http.client.HTTPException) as error:
        raise NoAnswerError(str(error) or type(error).__name__) from error
    finally:
        connection.close()
