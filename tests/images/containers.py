"""One container, run as strictly as the manifests ask for, on the loopback of this machine."""

from __future__ import annotations

import contextlib
import http.client
import pathlib
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.images.errors import ImageError
from tests.images.storage import Storage

USER = 65532
_STRICT = (
    "--read-only",
    "--read-only-tmpfs=false",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges",
    f"--user={USER}:{USER}",
    "--network=host",
    # Where limits may not be raised, a container with the usual ones would not start.
    "--ulimit=nofile=1024:1024",
    "--ulimit=nproc=4000:4000",
)
_LOG_LINES = 20
_POLL_S = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """A running container."""

    storage: Storage
    name: str
    port: int
    started_at_s: float

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def ready_after_s(self, path: str, *, limit_s: float) -> float:
        """Wait until `path` answers 200; the seconds since `podman run` was called."""
        ends_s = self.started_at_s + limit_s
        while time.monotonic() < ends_s:
            if get(self.port, path)[0] == 200:
                return time.monotonic() - self.started_at_s
            if not self.is_running():
                raise self.failed("ended before it was ready")
            time.sleep(_POLL_S)
        raise self.failed(f"did not answer 200 on {path} within {limit_s:.0f} s")

    def is_running(self) -> bool:
        answer = self.storage.podman("inspect", "--format={{.State.Running}}", self.name)
        return answer.stdout.strip() == "true"

    def terminate(self) -> None:
        """What a kubelet sends first."""
        self.storage.podman("kill", "--signal=TERM", self.name)

    def exit_code(self, *, limit_s: float) -> int:
        """Wait for its end."""
        ends_s = time.monotonic() + limit_s
        while self.is_running():
            if time.monotonic() > ends_s:
                raise self.failed(f"did not end within {limit_s:.0f} s after SIGTERM")
            time.sleep(_POLL_S)
        answer = self.storage.podman("inspect", "--format={{.State.ExitCode}}", self.name)
        return int(answer.stdout)

    def status(self) -> dict[str, str]:
        """What the kernel says about its first process."""
        found = self.storage.podman("inspect", "--format={{.State.Pid}}", self.name)
        folder = pathlib.Path("/proc", found.stdout.strip())
        lines = (folder / "status").read_text().splitlines()
        fields = {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}
        mounts = [line.split() for line in (folder / "mountinfo").read_text().splitlines()]
        fields["Root"] = next(words[5].split(",")[0] for words in mounts if words[4] == "/")
        return fields

    def failed(self, what: str) -> ImageError:
        """An error that shows the end of the container's log."""
        logs = self.storage.podman("logs", "--tail", str(_LOG_LINES), self.name, check=False)
        said = (logs.stdout + logs.stderr).strip() or "nothing"
        return ImageError(f"{self.name} {what}. It logged:\n{said}\n", next_step="Mend its image.")


@contextlib.contextmanager
def running(
    storage: Storage, image: str, *, flags: Sequence[str] = (), arguments: Sequence[str] = ()
) -> Iterator[Container]:
    """A container of the image that listens on a free port of 127.0.0.1; gone when the block ends."""
    port = free_port()
    name = f"farthing-{image.rsplit('/', 1)[-1].split(':')[0]}"
    storage.podman("rm", "--force", "--ignore", "--time", "0", name)
    started_at_s = time.monotonic()
    own = ("--host", "127.0.0.1", "--port", str(port))
    storage.podman("run", "--detach", "--name", name, *_STRICT, *flags, image, *own, *arguments)
    try:
        yield Container(storage=storage, name=name, port=port, started_at_s=started_at_s)
    finally:
        storage.podman("rm", "--force", "--time", "0", name, check=False)


def run_once(storage: Storage, image: str, *arguments: str) -> str:
    """Run to the end; what it wrote to standard output."""
    result = storage.podman("run", "--rm", *_STRICT, image, *arguments, check=False)
    if result.returncode:
        raise ImageError(
            f"{image} {' '.join(arguments)} ended with {result.returncode}:\n{result.stderr.strip()}\n",
            next_step="Mend its image.",
        )
    return result.stdout


def require_strict(container: Container) -> None:
    """Refuse a container that has more rights than the flags leave it."""
    status = container.status()
    wanted = {
        "Uid": "\t".join([str(USER)] * 4),
        "CapEff": "0" * 16,
        "CapBnd": "0" * 16,
        "NoNewPrivs": "1",
        "Root": "ro",
    }
    seen = {key: status.get(key, "") for key in wanted}
    if seen != wanted:
        raise container.failed(f"runs with {seen}, allowed is {wanted}")


def get(port: int, path: str) -> tuple[int, str]:
    """Status and body of a GET; status 0 when nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()
    except (OSError, http.client.HTTPException):
        return 0, ""
    finally:
        connection.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
