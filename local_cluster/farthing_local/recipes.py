"""What is built, from which module, into which programs. Pure but for reading the modules."""

from __future__ import annotations

import hashlib
import pathlib
import platform
import re
from dataclasses import dataclass

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
_KUBERNETES = "1.37.2"
_KWOK = "0.8.0"
_PROMETHEUS = "0.316.0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Binary:
    """One file that `go build` writes, and the names under which it is called."""

    name: str
    package: str
    links: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A Go module of ours and what comes out of it."""

    name: str
    title: str
    version: str
    folder: str
    binaries: tuple[Binary, ...]
    linker_flags: str
    tags: str = ""
    # Room that downloads and compiling take, as measured; nearly all of it is given back.
    disk_gib: float = 0.0

    @property
    def programs(self) -> tuple[str, ...]:
        """The names under which something can be called."""
        return tuple(name for one in self.binaries for name in one.links or (one.name,))


def _kubernetes_stamps() -> str:
    major, minor, _ = _KUBERNETES.split(".")
    return " ".join(
        f"-X {package}.{key}={value}"
        for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
        for key, value in (
            ("gitVersion", f"v{_KUBERNETES}"),
            ("gitMajor", major),
            ("gitMinor", minor),
            ("gitTreeState", "archive"),
        )
    )


CONTROL_PLANE = Recipe(
    name="controlplane",
    title=f"Kubernetes {_KUBERNETES} with etcd",
    version=_KUBERNETES,
    folder="controlplane",
    binaries=(
        Binary(
            name="controlplane",
            package=".",
            links=(
                "etcd",
                "kube-apiserver",
                "kube-controller-manager",
                "kube-scheduler",
                "kubectl",
            ),
        ),
    ),
    linker_flags=f"-s -w {_kubernetes_stamps()}",
    disk_gib=6.0,
)

KWOK = Recipe(
    name="kwok",
    title=f"KWOK {_KWOK}",
    version=_KWOK,
    folder="kwok",
    binaries=(Binary(name="kwok", package="sigs.k8s.io/kwok/cmd/kwok"),),
    linker_flags="-s -w",
    disk_gib=3.0,
)

PROMETHEUS = Recipe(
    name="prometheus",
    title=f"Prometheus {_PROMETHEUS}",
    version=_PROMETHEUS,
    folder="prometheus",
    binaries=tuple(
        Binary(name=name, package=f"github.com/prometheus/prometheus/cmd/{name}")
        for name in ("prometheus", "promtool")
    ),
    linker_flags=f"-s -w -X github.com/prometheus/common/version.Version={_PROMETHEUS}",
    # Without service discovery of some thirty clouds, which a local cluster cannot have.
    tags="netgo,remove_all_sd",
    disk_gib=4.0,
)

RECIPES = {recipe.name: recipe for recipe in (CONTROL_PLANE, KWOK, PROMETHEUS)}


def go_required(recipe: Recipe, modules: pathlib.Path) -> tuple[int, ...]:
    """The oldest Go that the module accepts, as numbers: (1, 26, 0)."""
    text = (modules / recipe.folder / "go.mod").read_text()
    found = re.search(r"^go (\d+(?:\.\d+)*)$", text, re.MULTILINE)
    if found is None:
        raise ValueError(f"{modules / recipe.folder / 'go.mod'} has no line 'go VERSION'")
    return tuple(int(number) for number in found[1].split("."))


def version_key(recipe: Recipe, modules: pathlib.Path) -> str:
    """The name of the folder of these binaries: another one whenever anything in them differs."""
    digest = hashlib.sha256(f"{recipe!r}".encode())
    folder = modules / recipe.folder
    for path in sorted(folder.glob("*")):
        if path.suffix in (".go", ".mod", ".sum"):
            digest.update(f"\0{path.name}\0".encode() + path.read_bytes())
    architecture = _ARCHITECTURES.get(platform.machine(), platform.machine())
    system = platform.system().lower()
    return f"{recipe.name}-{recipe.version}-{system}-{architecture}-{digest.hexdigest()[:12]}"
