"""From the Go modules to binaries in the user's cache, once per version and machine.

A folder of binaries appears whole or not at all: it is made under another name and renamed. One
build runs at a time; a second waits for it and then finds its result.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterator, Sequence

from farthing_local import disk, errors, go_command, locks, paths, progress, toolchain
from farthing_local.recipes import Recipe, go_required, version_key

_GIB = 1024**3
_MANIFEST = "build.json"


def program(recipe: Recipe, name: str) -> pathlib.Path:
    """The path of one program, built now if it is not there yet."""
    return build([recipe])[recipe.name] / name


def build(recipes: Sequence[Recipe]) -> dict[str, pathlib.Path]:
    """The folder of each recipe's programs; builds those that are missing, one after another."""
    modules, cache = paths.checkout() / "local_cluster", paths.cache_directory()
    folders = {one.name: cache / "bin" / version_key(one, modules) for one in recipes}
    if all(is_complete(folder) for folder in folders.values()):
        return folders
    in_cache = disk.explained("cache", cache, errors.BuildError, paths.CACHE_VARIABLE)
    with in_cache, _lock(cache):
        _remove_leftovers(cache / "bin")
        missing = [one for one in recipes if not is_complete(folders[one.name])]
        for at, recipe in enumerate(missing, start=1):
            title = f"{recipe.title} ({at} of {len(missing)})"
            _build_one(recipe, title, folders[recipe.name], modules=modules, cache=cache)
        # Several GB that only a rebuild of the very same version could use.
        shutil.rmtree(go_command.scratch_folder(cache), ignore_errors=True)
    return folders


def is_complete(folder: pathlib.Path) -> bool:
    """Whether the programs are there and of the size that they had when they were built."""
    try:
        sizes = json.loads((folder / _MANIFEST).read_text())["bytes"]
        return all((folder / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return False


def _build_one(
    recipe: Recipe, title: str, folder: pathlib.Path, *, modules: pathlib.Path, cache: pathlib.Path
) -> None:
    _require_room(recipe, cache)
    go = toolchain.find_go(go_required(recipe, modules), cache=cache, checkout=modules.parent)
    log = cache / "logs" / f"build-{recipe.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    go_command.scratch_folder(cache).mkdir(parents=True, exist_ok=True)
    partial = pathlib.Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".partial-{recipe.name}-"))
    try:
        with progress.Progress(title) as shown, log.open("w") as written:
            command = go_command.GoCommand(
                go=go,
                title=recipe.title,
                folder=modules / recipe.folder,
                env=go_command.environment(cache),
                log=log,
                cache=cache,
            )
            options = go_command.flags(recipe)
            packages = command.packages(options, recipe.binaries, shown, written)
            for binary in recipe.binaries:
                command.compile(options, binary, partial, packages, shown, written)
            _write_manifest(recipe, partial, shown.elapsed_s)
        partial.chmod(0o755)
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _write_manifest(recipe: Recipe, folder: pathlib.Path, took_s: float) -> None:
    sizes = {one.name: (folder / one.name).stat().st_size for one in recipe.binaries}
    document = {"title": recipe.title, "bytes": sizes, "buildSeconds": round(took_s, 1)}
    (folder / _MANIFEST).write_text(json.dumps(document, indent=2) + "\n")


@contextlib.contextmanager
def _lock(cache: pathlib.Path) -> Iterator[None]:
    def waiting() -> None:
        progress.say("Another build is running on this machine: waiting for it.")

    with locks.locked(cache / "bin" / ".lock", on_wait=waiting):
        yield


def _remove_leftovers(folder: pathlib.Path) -> None:
    """Remove what a build left that was killed; under the lock nothing of the kind is in use."""
    for leftover in folder.glob(".partial-*"):
        shutil.rmtree(leftover, ignore_errors=True)


def _require_room(recipe: Recipe, cache: pathlib.Path) -> None:
    if os.environ.get("GOCACHE") and os.environ.get("GOMODCACHE"):
        return
    free_gib = shutil.disk_usage(cache).free / _GIB
    if free_gib < recipe.disk_gib:
        raise errors.BuildError(
            f"Building {recipe.title} takes up to {recipe.disk_gib:.0f} GiB under {cache} for some"
            f" minutes, and {free_gib:.1f} GiB are free.",
            next_step=f"Free some room, or put the cache elsewhere: {paths.CACHE_VARIABLE}=FOLDER.",
        )
