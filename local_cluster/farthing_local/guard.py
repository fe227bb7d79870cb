"""python -m farthing_local.guard HOME: takes the cluster down when its owner goes away.

The owner holds the other end of standard input. However it ends, by itself, by Ctrl-C or by
SIGKILL, the pipe closes, and nothing of the cluster is left running.
"""

from __future__ import annotations

import pathlib
import subprocess
import sys
from typing import Self

from farthing_local import cluster, errors, paths, progress


class Guard:
    """The owner's side: `release` takes the cluster down and waits until it is gone."""

    def __init__(self, home: pathlib.Path) -> None:
        command = [sys.executable, "-m", "farthing_local.guard", str(home)]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            cwd=paths.checkout() / "local_cluster",
            # Ctrl-C in a terminal reaches the whole group of the owner, and must not end this.
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def release(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        code = self._process.wait()
        if code != 0:
            raise errors.ComponentError(
                f"The local cluster could not be taken down (code {code}).",
                next_step="Run: farthing local down.",
            )


def main(home: pathlib.Path) -> None:
    sys.stdin.buffer.read()
    cluster.down(home)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        progress.say("usage: python -m farthing_local.guard HOME")
        sys.exit(2)
    main(pathlib.Path(sys.argv[1]))
