"""The command line: help with examples, exit codes, one clear line for what is refused."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

import click
import pytest
from tests.cluster_fixture import ControlPlane

from farthing_local import commands, inspection, tables

_CHECKOUT = pathlib.Path(__file__).parents[2]


def _run(home: pathlib.Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "farthing_local", *arguments],
        env={
            **os.environ,
            "FARTHING_LOCAL_HOME": str(home),
            "PYTHONPATH": str(_CHECKOUT / "local_cluster"),
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("name", sorted(commands.local.commands))
def test_the_help_of_every_command_shows_how_to_call_it(name: str) -> None:
    command = commands.local.commands[name]
    text = command.get_help(click.Context(command, info_name=f"farthing local {name}"))
    examples = text.partition("Example")[2]
    assert f"farthing local {name}" in examples


@pytest.mark.parametrize(
    "arguments", [["kubeconfig"], ["kubectl", "--", "get", "nodes"]], ids=lambda one: one[0]
)
def test_without_a_cluster_the_next_step_is_named(
    tmp_path: pathlib.Path, arguments: list[str]
) -> None:
    done = _run(tmp_path / "home", *arguments)
    assert (done.returncode, done.stdout, done.stderr) == (
        1,
        "",
        f"Error: No local cluster runs in {tmp_path}/home. Start one with: farthing local up.\n",
    )


def test_interrupting_without_a_cluster_says_that_nobody_answers(tmp_path: pathlib.Path) -> None:
    done = _run(tmp_path / "home", "interrupt", "l4-spot-0")
    assert done.returncode == 1
    assert done.stderr.startswith(f"Error: The node agent of {tmp_path}/home does not answer (")
    assert done.stderr.endswith("). Start the cluster with: farthing local up.\n")


def test_status_without_a_cluster_is_an_answer_in_json_too(tmp_path: pathlib.Path) -> None:
    done = _run(tmp_path / "home", "status", "-o", "json")
    assert done.returncode == 1
    assert json.loads(done.stdout) == {
        "home": f"{tmp_path}/home",
        "server": None,
        "ready": False,
        "components": [],
        "nodes": [],
        "healthy": False,
    }


@pytest.mark.parametrize(
    ("option", "text", "said"),
    [
        ("--nodes", "a: b", "must be a list of pools"),
        (
            "--nodes",
            "- {name: x, capacityType: Cheap, nodes: 1}",
            "pools[0].capacityType: is 'Cheap', must be one of Reserved, OnDemand, Spot",
        ),
        ("--images", "x: {argv: []}", "x.argv: is [], must be a list of at least one text"),
        ("--images", "x: [", "is not YAML"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_before_anything_starts(
    tmp_path: pathlib.Path, option: str, text: str, said: str
) -> None:
    path = tmp_path / "given.yaml"
    path.write_text(text)
    done = _run(tmp_path / "home", "up", option, str(path))
    assert done.returncode == 2
    assert done.stderr.startswith(f"Error: {path}: ")
    assert said in done.stderr
    assert not (tmp_path / "home").exists()


@pytest.mark.cluster
def test_kubectl_is_run_as_it_is_called(control_plane: ControlPlane) -> None:
    done = _run(control_plane.home, "kubectl", "get", "ns", "default", "-o", "name")
    assert (done.returncode, done.stdout) == (0, "namespace/default\n")
    failed = _run(control_plane.home, "kubectl", "--", "get", "ns", "missing")
    assert (failed.returncode, failed.stderr) == (
        1,
        'Error from server (NotFound): namespaces "missing" not found\n',
    )


@pytest.mark.cluster
def test_kubeconfig_prints_nothing_but_the_path(control_plane: ControlPlane) -> None:
    done = _run(control_plane.home, "kubeconfig")
    assert (done.returncode, done.stdout) == (0, f"{control_plane.kubeconfig}\n")


def test_the_status_tables_are_aligned() -> None:
    seen = inspection.ClusterStatus(
        home=pathlib.Path("/h"),
        server="https://127.0.0.1:6443",
        is_ready=True,
        components=(
            inspection.ComponentStatus(name="etcd", pid=12, port=2379, problem=None, rss_mib=41.6),
            inspection.ComponentStatus(
                name="node-agent", pid=1234, port=None, problem="ended", rss_mib=0
            ),
        ),
        nodes=(
            inspection.NodeStatus(
                name="l4-spot-0",
                pool="l4-spot",
                capacity_type="Spot",
                ready=True,
                gpus="2",
                taints=("farthing.dev/interrupted:NoSchedule",),
            ),
        ),
    )
    assert not seen.is_healthy
    assert tables.status(seen) == "\n".join(
        [
            "https://127.0.0.1:6443   /h",
            "",
            "COMPONENT    PID    PORT   MEMORY   HEALTH",
            "etcd         12     2379   42 MiB   healthy",
            "node-agent   1234   -      0 MiB    ended",
            "",
            "NODE        POOL      CAPACITY   READY   GPUS   TAINTS",
            "l4-spot-0   l4-spot   Spot       True    2      farthing.dev/interrupted:NoSchedule",
        ]
    )
