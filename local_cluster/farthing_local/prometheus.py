"""A Prometheus server of its own for as long as something needs it."""

from __future__ import annotations

import contextlib
import os
import pathlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import yaml

from farthing_local import (
    build,
    components,
    errors,
    home,
    http_requests,
    ports,
    processes,
    recipes,
)

_READY_WITHIN_S = 60.0
_POLL_S = 0.05
_PATIENCE_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A Prometheus that runs and answers queries."""

    url: str
    process: processes.Identity
    folder: pathlib.Path

    def stop(self) -> None:
        processes.stop([self.process], patience_s=_PATIENCE_S)


@contextlib.contextmanager
def running(
    folder: pathlib.Path,
    *,
    targets: Sequence[str] = (),
    targets_file: pathlib.Path | None = None,
    scrape_interval_s: int = 1,
    job: str = "farthing",
) -> Iterator[Server]:
    """A server that scrapes these HOST:PORT, and those of a file that may change meanwhile.

    The file is Prometheus' own: a list of {targets: [HOST:PORT], labels: {name: value}}.
    """
    server = start(
        folder,
        targets=targets,
        targets_file=targets_file,
        scrape_interval_s=scrape_interval_s,
        job=job,
    )
    try:
        yield server
    finally:
        server.stop()


def start(
    folder: pathlib.Path,
    *,
    targets: Sequence[str] = (),
    targets_file: pathlib.Path | None = None,
    scrape_interval_s: int = 1,
    job: str = "farthing",
) -> Server:
    """Start a server with its data in this folder, and wait until it answers queries.

    In the folder `prometheus` of a cluster's home it ends with the cluster.
    """
    program = build.program(recipes.PROMETHEUS, "prometheus")
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "prometheus.yaml"
    config.write_text(yaml.safe_dump(_config(targets, targets_file, scrape_interval_s, job)))
    (port,) = ports.free_ports(1)
    address = f"{components.LOOPBACK}:{port}"
    process = processes.start(
        [
            str(program),
            f"--config.file={config}",
            f"--storage.tsdb.path={folder / 'series'}",
            f"--web.listen-address={address}",
            "--web.enable-lifecycle",
            "--log.level=warn",
        ],
        env={"PATH": os.defpath, "HOME": str(folder)},
        log=folder / "prometheus.log",
    )
    server = Server(url=f"http://{address}", process=process, folder=folder)
    try:
        _wait(server, port)
    except BaseException:
        server.stop()
        raise
    return server


def _config(
    targets: Sequence[str], targets_file: pathlib.Path | None, scrape_interval_s: int, job: str
) -> dict[str, object]:
    scrape: dict[str, object] = {
        "job_name": job,
        "scrape_interval": f"{scrape_interval_s}s",
        "scrape_timeout": f"{scrape_interval_s}s",
    }
    if targets:
        scrape["static_configs"] = [{"targets": list(targets)}]
    if targets_file is not None:
        found = {"files": [str(targets_file.absolute())], "refresh_interval": "1s"}
        scrape["file_sd_configs"] = [found]
    return {"scrape_configs": [scrape]}


def _wait(server: Server, port: int) -> None:
    deadline = time.monotonic() + _READY_WITHIN_S
    while not _is_ready(port):
        if not processes.is_alive(server.process) or time.monotonic() > deadline:
            raise errors.ComponentError(
                f"Prometheus does not run: {home.cause(server.folder / 'prometheus.log')}.",
                next_step=f"Its log is {server.folder / 'prometheus.log'}.",
            )
        time.sleep(_POLL_S)


def _is_ready(port: int) -> bool:
    try:
        return http_requests.over_http(port, "/-/ready").status == 200
    except http_requests.NoAnswerError:
        return False
