"""What the environment may ask, and the one line that answers anything else."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import pytest
from benchmarks.demo import errors, settings

ROOT = pathlib.Path(__file__).parents[2]


@pytest.mark.parametrize("given", [{}, {"CLUSTER": "local"}, {"DEMO_KEEP": "0"}])
def test_the_local_cluster_is_the_default_and_goes_away(given: dict[str, str]) -> None:
    assert not settings.read(given).keep


def test_everything_lies_in_the_cache(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    monkeypatch.setenv("FARTHING_CACHE", str(tmp_path))

    assert settings.read({"DEMO_KEEP": "1"}) == settings.Settings(
        home=tmp_path / "demo",
        models=tmp_path / "image",
        images=tmp_path / "demo-images.yaml",
        lock=tmp_path / "demo.lock",
        kept=tmp_path / "demo.kept",
        keep=True,
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"CLUSTER": "kind"},
            "CLUSTER=kind (a cluster that kind makes) is not supported yet; CLUSTER=local is."
            " Run: make demo.",
        ),
        (
            {"CLUSTER": "current"},
            "CLUSTER=current (the cluster of your kubeconfig) is not supported yet; CLUSTER=local"
            " is. Run: make demo.",
        ),
        (
            {"CLUSTER": "moon"},
            'CLUSTER: "moon" is not allowed; local is supported. Run: make demo.',
        ),
        (
            {"DEMO_KEEP": "yes"},
            'DEMO_KEEP: "yes" is not allowed; 0 or 1. Run: DEMO_KEEP=1 make demo.',
        ),
    ],
)
def test_what_is_not_supported_is_refused_in_one_line(given: dict[str, str], message: str) -> None:
    with pytest.raises(errors.RefusedError) as refusal:
        settings.read(given)

    assert str(refusal.value) == message


def test_a_refusal_ends_with_2_before_anything_is_started(tmp_path: pathlib.Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "benchmarks.demo"],
        env={**os.environ, "CLUSTER": "kind", "FARTHING_CACHE": str(tmp_path)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("Error: CLUSTER=kind ")
    assert result.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
