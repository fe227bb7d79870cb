"""A stand-in for an API server: answers GET with given documents, and the kubeconfig that leads to it."""

from __future__ import annotations

import http.server
import json
import pathlib
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import yaml

GROUP = "/apis/farthing.dev/v1alpha1"
Answers = Mapping[str, tuple[int, Any]]


@contextmanager
def serving(answers: Answers) -> Iterator[str]:
    """Serves while the context lasts; gives the address. What is not among the answers does not exist."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, document = answers.get(self.path, (404, {"message": "page not found"}))
            content = document if isinstance(document, bytes) else json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Tests print nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def kubeconfig(folder: pathlib.Path, address: str) -> pathlib.Path:
    """A kubeconfig with the contexts eu-1 (namespace shop) and eu-2."""
    path = folder / "kubeconfig"
    path.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "eu-1",
                "clusters": [{"name": "one", "cluster": {"server": address}}],
                "users": [{"name": "someone", "user": {"token": "secret"}}],
                "contexts": [
                    {
                        "name": "eu-1",
                        "context": {"cluster": "one", "user": "someone", "namespace": "shop"},
                    },
                    {"name": "eu-2", "context": {"cluster": "one", "user": "someone"}},
                ],
            }
        )
    )
    return path


def listed(*objects: Any) -> tuple[int, Any]:
    return 200, {"kind": "List", "items": list(objects)}


def missing(name: str) -> tuple[int, Any]:
    return 404, {
        "kind": "Status",
        "message": f'inferenceservices.farthing.dev "{name}" not found',
        "details": {"name": name},
    }
