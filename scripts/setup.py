"""Makes the environments of a checkout: `.venv` for everything but torch, `.venv-serving` for the serving image.

Runs on any Python 3.11 or later with nothing installed, so it uses the standard library alone. Both environments are
filled from hash-pinned requirement files; an environment that matches its files already is left alone. Caches live
outside the checkout (`FARTHING_CACHE`), so that a second checkout is quick.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import os
import pathlib
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass

ROOT = pathlib.Path(__file__).resolve().parents[1]
REQUIREMENTS = ROOT / "requirements"
STAMP = "farthing-requirements.sha256"


class SetupError(Exception):
    """What a person can mend; the message ends with the next step."""


@dataclass(frozen=True)
class Environment:
    """One virtual environment and the files it is filled from."""

    folder: str
    requirements: tuple[str, ...]
    without_dependencies: tuple[str, ...]
    note: str
    installs_project: bool


DEVELOPMENT = Environment(
    folder=".venv",
    requirements=("development.txt",),
    without_dependencies=(),
    note="operator, command line, local cluster and their tests",
    installs_project=True,
)
SERVING = Environment(
    folder=".venv-serving",
    requirements=("serving.txt",),
    without_dependencies=("models.txt",),
    note="the serving image with torch: about 3 GB the first time, cached afterwards",
    installs_project=False,
)


def main(arguments: list[str]) -> int:
    """Makes what is missing; 0 when everything is there."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        epilog="Examples:\n  python3 scripts/setup.py\n  python3 scripts/setup.py --only development",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--only", choices=("development", "serving"), help="make one environment only"
    )
    chosen = parser.parse_args(arguments).only
    if sys.version_info < (3, 11):  # noqa: UP036 - this file is what tells a newcomer so
        say(
            f"Error: Python {sys.version.split()[0]} is too old. Run this with Python 3.11 or later."
        )
        return 1
    environments = {"development": [DEVELOPMENT], "serving": [SERVING]}.get(
        chosen, [DEVELOPMENT, SERVING]
    )
    try:
        for environment in environments:
            make(environment)
    except SetupError as error:
        say(f"Error: {error}")
        return 1
    except KeyboardInterrupt:
        say("Interrupted: nothing half-made is left in use. Run the same command again.")
        return 130
    return 0


def make(environment: Environment) -> None:
    """Fills one environment, unless its stamp says that it matches its files."""
    folder = ROOT / environment.folder
    wanted = digest(environment)
    stamp = folder / STAMP
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:
        return
    started = time.monotonic()
    say(f"{environment.folder}: {environment.note}")
    uv = find_uv()
    if not (folder / "bin" / "python").exists():
        run(
            [uv, "venv", "--quiet", "--no-project", "--python", sys.executable, str(folder)],
            "make the environment",
        )
    python = str(folder / "bin" / "python")
    files = [str(REQUIREMENTS / name) for name in environment.requirements]
    run(
        [uv, "pip", "sync", "--quiet", "--python", python, "--require-hashes", *files],
        "install the packages",
    )
    for name in environment.without_dependencies:
        file = str(REQUIREMENTS / name)
        run(
            [
                uv,
                "pip",
                "install",
                "--quiet",
                "--python",
                python,
                "--require-hashes",
                "--no-deps",
                "-r",
                file,
            ],
            "install the model",
        )
    if environment.installs_project:
        run(
            [
                uv,
                "pip",
                "install",
                "--quiet",
                "--python",
                python,
                "--no-deps",
                "--no-build-isolation",
                "-e",
                str(ROOT),
            ],
            "install the project",
        )
    if environment.without_dependencies:
        lay_out_models(folder)
    stamp.write_text(wanted, encoding="utf-8")
    say(f"{environment.folder}: ready after {time.monotonic() - started:.0f} s")


def lay_out_models(folder: pathlib.Path) -> None:
    """Puts the models where the serving image has them, under a folder that stands for its root."""
    packages = next((folder / "lib").glob("python3.*/site-packages"))
    script = str(ROOT / "scripts" / "image_models.py")
    root = str(folder / "image-root")
    run([sys.executable, script, "--packages", str(packages), "--root", root], "lay out the model")


def digest(environment: Environment) -> str:
    """Changes whenever a file that the environment is made from does."""
    total = hashlib.sha256(sys.version.encode())
    names = [*environment.requirements, *environment.without_dependencies]
    for file in [*(REQUIREMENTS / name for name in names), ROOT / "pyproject.toml"]:
        total.update(file.read_bytes())
    return total.hexdigest()


def find_uv() -> str:
    """The pinned installer, kept in the cache. Works where Python came without its venv module."""
    folder = (
        cache()
        / "tools"
        / f"uv-{hashlib.sha256((REQUIREMENTS / 'uv.txt').read_bytes()).hexdigest()[:12]}"
    )
    program = folder / "bin" / "uv"
    if program.exists():
        return str(program)
    if importlib.util.find_spec("pip") is None:
        raise SetupError(
            "this Python has no pip. Install it (Debian: apt-get install python3-pip), then run the same command again."
        )
    half_made = folder.with_name(folder.name + ".part")
    shutil.rmtree(half_made, ignore_errors=True)
    run(
        [
            sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps",
            "--require-hashes", "--target", str(half_made), "-r", str(REQUIREMENTS / "uv.txt"),
        ],
        "fetch the installer",
    )  # fmt: skip
    shutil.rmtree(folder, ignore_errors=True)
    half_made.rename(folder)
    return str(program)


def cache() -> pathlib.Path:
    """Where everything lives that outlasts a checkout."""
    if own := os.environ.get("FARTHING_CACHE"):
        return pathlib.Path(own)
    base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(base) / "farthing"


def run(command: list[str], purpose: str) -> None:
    """Runs one step and turns its failure into one clear line."""
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    environment["UV_LINK_MODE"] = "hardlink"
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if result.returncode == 0:
        return
    told = (result.stderr or result.stdout).strip()
    say(told)
    if "No space left" in told:
        free = shutil.disk_usage(ROOT).free // 2**20
        raise SetupError(
            f"the disk is full ({free} MiB free) while trying to {purpose}. Free some space and run again."
        )
    raise SetupError(
        f"could not {purpose}: is the package index reachable? Run the same command again to go on."
    )


def say(text: str) -> None:
    """Progress and errors go to stderr."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
