"""Build the container images with whichever of docker, podman or buildah is there.

    python scripts/images.py                        # operator, server, emulated
    python scripts/images.py server-cuda            # one of them
    python scripts/images.py --print                # only show the commands
    python scripts/images.py -- --network=host      # flags for the tool go after --

TORCH_INDEX_URL in the environment names an index with a CPU-only torch for the server's image.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import pathlib
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence

ROOT = pathlib.Path(__file__).resolve().parents[1]
TOOLS = ("docker", "podman", "buildah")
VERSION = "0.1.0"


@dataclasses.dataclass(frozen=True, slots=True)
class Image:
    reference: str
    dockerfile: str
    takes_torch_index: bool = False


IMAGES = {
    "operator": Image(f"farthing/operator:{VERSION}", "operator/Dockerfile"),
    "server": Image(f"farthing/server:{VERSION}", "inference_image/Dockerfile.cpu", True),
    "emulated": Image(f"farthing/emulated:{VERSION}", "inference_image/Dockerfile.emulated"),
    "server-cuda": Image(f"farthing/server:{VERSION}-cuda", "inference_image/Dockerfile.cuda"),
}
DEFAULT = ("operator", "server", "emulated")


def command(
    tool: str, image: Image, flags: Sequence[str], environment: Mapping[str, str]
) -> list[str]:
    """The build command; the context is the repository's root."""
    arguments: list[str] = []
    if image.takes_torch_index and (index := environment.get("TORCH_INDEX_URL", "")):
        arguments = ["--build-arg", f"TORCH_INDEX_URL={index}"]
    return [
        *(tool, "build", "--file", str(ROOT / image.dockerfile), "--tag", image.reference),
        *arguments,
        *flags,
        str(ROOT),
    ]


def chosen_tool(wanted: str | None) -> str | None:
    candidates = TOOLS if wanted is None else (wanted,)
    return next((tool for tool in candidates if shutil.which(tool)), None)


def build(tool: str, names: Sequence[str], flags: Sequence[str]) -> int:
    for position, name in enumerate(names, start=1):
        image = IMAGES[name]
        print(f"[{position}/{len(names)}] {image.reference} with {tool}", file=sys.stderr)
        started_s = time.monotonic()
        result = subprocess.run(command(tool, image, flags, os.environ), check=False)
        if result.returncode:
            print(f"images: {image.reference} failed (exit {result.returncode})", file=sys.stderr)
            return 1
        print(f"      built in {time.monotonic() - started_s:.0f} s", file=sys.stderr)
    return 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="IMAGE", help=f"of {', '.join(IMAGES)}")
    parser.add_argument("--tool", choices=TOOLS, help="default: the first that is there")
    parser.add_argument("--print", action="store_true", help="show the commands, build nothing")
    own, flags = sys.argv[1:], []
    if "--" in own:
        own, flags = own[: own.index("--")], own[own.index("--") + 1 :]
    chosen = parser.parse_args(own)
    chosen.flags = flags
    if unknown := [name for name in chosen.names if name not in IMAGES]:
        parser.error(f'IMAGE: "{unknown[0]}" is not allowed; one of {", ".join(IMAGES)}')
    return chosen


def main() -> int:
    chosen = parse()
    names = chosen.names or DEFAULT
    if chosen.print:
        tool = chosen.tool or chosen_tool(None) or TOOLS[0]
        for name in names:
            print(shlex.join(command(tool, IMAGES[name], chosen.flags, os.environ)))
        return 0
    tool = chosen_tool(chosen.tool)
    if tool is None:
        problem = f"{chosen.tool} is not" if chosen.tool else "none of docker, podman, buildah is"
        print(f"images: {problem} there; install one and try again", file=sys.stderr)
        return 1
    return build(tool, names, chosen.flags)


if __name__ == "__main__":
    sys.exit(main())
