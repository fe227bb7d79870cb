"""Real server processes for tests: started on a free port, awaited by their own log lines."""

from __future__ import annotations

import dataclasses
import http.client
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

ROOT = pathlib.Path(__file__).parents[2]
START_LIMIT_S = 90.0


@dataclasses.dataclass(frozen=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


def environment(**more: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("FARTHING_")}
    return {**kept, "PYTHONPATH": str(ROOT / "inference_image"), "PYTHONWARNINGS": "error", **more}


class Server:
    """One `python -m farthing_server` process; leaving the context ends it."""

    def __init__(
        self,
        *arguments: str,
        interpreter: str = sys.executable,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self.events: list[dict[str, Any]] = []
        self.other_lines: list[str] = []
        self._changed = threading.Condition()
        self.process = subprocess.Popen(
            [interpreter, "-m", "farthing_server", "--port", "0", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(**(variables or {})),
            text=True,
        )
        self.logged: list[dict[str, Any]] = []  # the access log
        self._readers = [
            threading.Thread(target=read, daemon=True) for read in (self._read, self._read_log)
        ]
        for reader in self._readers:
            reader.start()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        self.join()
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self.process.stdout.close()
        self.process.stderr.close()

    def join(self) -> None:
        """Wait until everything that the ended process wrote is read."""
        for reader in self._readers:
            reader.join(10)

    def _read_log(self) -> None:
        """Read all the time: a full pipe would stop the server."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.logged.append(json.loads(line))

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._changed:
                if line.startswith("{"):
                    self.events.append(json.loads(line))
                else:
                    self.other_lines.append(line)
                self._changed.notify_all()

    def event(self, name: str) -> dict[str, Any]:
        """Wait for a log line of the server."""
        ends_s = time.monotonic() + START_LIMIT_S
        with self._changed:
            while True:
                for event in self.events:
                    if event["event"] == name:
                        return event
                if self.process.poll() is not None or time.monotonic() > ends_s:
                    raise AssertionError(f"no {name}: {self.events} {''.join(self.other_lines)}")
                self._changed.wait(0.2)

    @property
    def port(self) -> int:
        return int(self.event("listening")["port"])

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def ready(self) -> Server:
        self.event("ready")
        return self

    def get(self, path: str) -> Reply:
        return self.request("GET", path)

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            names = {name.lower(): value for name, value in response.getheaders()}
            return Reply(response.status, names, response.read())
        finally:
            connection.close()

    def infer(self, body: bytes, headers: Mapping[str, str] | None = None) -> Reply:
        return self.request("POST", "/v2/models/emulated/infer", body, headers)

    def metric(self, name: str) -> float:
        """The sum of a metric over its labels."""
        lines = self.get("/metrics").body.decode().splitlines()
        values = [line.rsplit(" ", 1) for line in lines if not line.startswith("#")]
        return sum(float(value) for key, value in values if key.split("{")[0] == name)

    def terminate(self) -> int:
        """SIGTERM, then the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def memory_mib(self) -> float:
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
        return int(line.split()[1]) / 1024


def emulated(*arguments: str, profile: Mapping[str, object] | None = None) -> Server:
    chosen = [] if profile is None else ["--profile", json.dumps(profile)]
    return Server("--emulate", *chosen, *arguments)


def line_profile(fixed_ms: float, per_item_ms: float, largest: int) -> dict[str, object]:
    """A profile in which a batch of n takes fixed + per item · n milliseconds."""
    return {
        "maximumBatchSize": largest,
        "batches": [
            {"size": size, "milliseconds": str(fixed_ms + per_item_ms * size)}
            for size in sorted({1, largest})
        ],
    }


def text_body(texts: Sequence[str], **more: object) -> bytes:
    tensor = {"name": "text", "datatype": "BYTES", "shape": [len(texts)], "data": list(texts)}
    return json.dumps({"inputs": [tensor], **more}).encode()
