"""A real Prometheus scrapes what it is told and ends when it is no longer needed."""

from __future__ import annotations

import http.server
import json
import pathlib
import threading
import urllib.parse
import urllib.request
from collections.abc import Iterator

import pytest
from tests.cluster_fixture import eventually

from farthing_local import errors, processes, prometheus

pytestmark = [pytest.mark.cluster, pytest.mark.slow]


class _Exporter(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b"# TYPE pennies_total counter\npennies_total 240\n"
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def target() -> Iterator[str]:
    """HOST:PORT of something that has a metric."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Exporter) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def _query(server: prometheus.Server, expression: str) -> list[dict[str, object]]:
    query = urllib.parse.urlencode({"query": expression})
    with urllib.request.urlopen(f"{server.url}/api/v1/query?{query}") as answer:
        return json.load(answer)["data"]["result"]


def test_static_targets_are_scraped(tmp_path: pathlib.Path, target: str) -> None:
    with prometheus.running(tmp_path, targets=[target]) as server:
        found = eventually(lambda: _query(server, "pennies_total"), bool)
        assert processes.is_alive(server.process)
    assert [(one["metric"], one["value"][1]) for one in found] == [
        ({"__name__": "pennies_total", "instance": target, "job": "farthing"}, "240")
    ]
    assert not processes.is_alive(server.process)


def test_targets_of_a_file_come_and_go_while_it_runs(tmp_path: pathlib.Path, target: str) -> None:
    targets = tmp_path / "targets.json"
    targets.write_text("[]")
    with prometheus.running(tmp_path / "data", targets_file=targets) as server:
        assert _query(server, "up") == []
        targets.write_text(json.dumps([{"targets": [target], "labels": {"pod": "one"}}]))
        found = eventually(lambda: _query(server, 'pennies_total{pod="one"}'), bool)
    assert [one["value"][1] for one in found] == ["240"]


def test_a_prometheus_that_cannot_start_says_why(tmp_path: pathlib.Path) -> None:
    with (
        pytest.raises(
            errors.ComponentError, match=r"^Prometheus does not run: .*job_name is empty"
        ),
        prometheus.running(tmp_path, job=""),
    ):
        pass
