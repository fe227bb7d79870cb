"""Clusters come up whole, live side by side, and are gone after `down`, whatever happened."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping

import pytest
import yaml
from tests.cluster_fixture import eventually, running_cluster, short_folder

from farthing_local import cluster, errors, home, ports, processes, state

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

_CHECKOUT = pathlib.Path(__file__).parents[2]
_ALL = ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "node-agent"]
_CONTROL_PLANE = _ALL[:-1]
_SPEAKER = "import sys, time; print('hello from', sys.argv[1], flush=True); time.sleep(600)"


@pytest.fixture
def folder() -> Iterator[pathlib.Path]:
    """A folder for homes; every cluster in it is ended, whatever the test leaves."""
    with short_folder() as made:
        yield made
        for one in made.iterdir():
            if one.is_dir():
                cluster.down(one)


def _local(
    where: pathlib.Path, *arguments: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "farthing_local", *arguments],
        env={**_environment(where), **variables},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def _environment(where: pathlib.Path) -> dict[str, str]:
    return {
        **os.environ,
        "FARTHING_LOCAL_HOME": str(where),
        "PYTHONPATH": str(_CHECKOUT / "local_cluster"),
    }


def _recorded(where: pathlib.Path) -> Mapping[str, processes.Identity]:
    recorded = state.read(where)
    return {one.name: one.process for one in recorded.components} if recorded else {}


def _port(where: pathlib.Path, name: str) -> int | None:
    recorded = state.read(where)
    component = recorded.component(name) if recorded else None
    return component.port if component else None


def _alive(where: pathlib.Path) -> list[str]:
    return sorted(name for name, _ in processes.strays(home.PROGRAMS, where))


def test_a_cluster_comes_up_healthy_with_its_nodes_and_goes_without_a_trace(
    folder: pathlib.Path,
) -> None:
    where = folder / "home"
    started = _local(where, "up")
    assert started.returncode == 0, started.stderr
    assert started.stdout == ""
    assert "end it:    farthing local down" in started.stderr
    seen = json.loads(_local(where, "status", "-o", "json").stdout)
    assert (seen["ready"], seen["healthy"]) == (True, True)
    assert [(one["name"], one["problem"]) for one in seen["components"]] == [
        (name, None) for name in _ALL
    ]
    assert [(one["name"], one["pool"], one["gpus"]) for one in seen["nodes"]] == [
        ("cpu-0", "cpu", "0"),
        ("l4-ondemand-0", "l4-ondemand", "2"),
        ("l4-ondemand-1", "l4-ondemand", "2"),
        ("l4-reserved-0", "l4-reserved", "2"),
        ("l4-spot-0", "l4-spot", "2"),
        ("l4-spot-1", "l4-spot", "2"),
        ("system-0", "system", "0"),
    ]
    table = _local(where, "status").stdout
    assert table.splitlines()[2].split() == ["COMPONENT", "PID", "PORT", "MEMORY", "HEALTH"]
    again = _local(where, "up")
    assert again.returncode == 0
    assert "It runs already" in again.stderr
    identities = list(_recorded(where).values())
    ended = _local(where, "down")
    assert (ended.returncode, ended.stderr) == (0, f"Ended: {', '.join(_ALL)}.\n")
    assert list(folder.iterdir()) == []
    assert not any(processes.is_alive(one) for one in identities)
    assert _local(where, "down").stderr == f"Nothing ran in {where}.\n"
    assert _local(where, "status").returncode == 1


def test_logs_of_a_pod_come_through_the_api_server(folder: pathlib.Path) -> None:
    images = folder / "images.yaml"
    argv = ["${PYTHON}", "-c", _SPEAKER]
    images.write_text(yaml.safe_dump({"test/speaker:1": {"argv": argv}}))
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "speaker", "namespace": "default"},
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "containers": [{"name": "main", "image": "test/speaker:1", "args": ["a pod"]}],
        },
    }
    with running_cluster(folder / "home", agent=True, images=images) as running:
        running.apply(pod)
        running.kubectl("wait", "pod/speaker", "--for=condition=Ready", "--timeout=60s")
        said = eventually(
            lambda: running.kubectl("logs", "speaker").stdout, lambda text: text != ""
        )
    assert said == "hello from a pod\n"
    assert not (folder / "home").exists()


def test_two_clusters_live_side_by_side(folder: pathlib.Path) -> None:
    one, other = folder / "one", folder / "other"
    with running_cluster(one, agent=True) as first, running_cluster(other, agent=True) as second:
        assert first.server != second.server
        first.kubectl("create", "namespace", "only-here")
        names = [item["metadata"]["name"] for item in second.get("namespaces")["items"]]
        assert "only-here" not in names
        cluster.down(one)
        assert _alive(one) == []
        assert _alive(other) == sorted(_ALL)
        assert second.kubectl("get", "--raw", "/readyz").stdout == "ok"
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("victim", ["etcd", "kube-apiserver", "node-agent"])
def test_down_works_after_a_part_was_killed(folder: pathlib.Path, victim: str) -> None:
    where = folder / "home"
    cluster.up(cluster.Wanted(home=where, agent=victim == "node-agent"))
    identities = _recorded(where)
    os.kill(identities[victim].pid, signal.SIGKILL)
    processes.wait_gone([identities[victim]], limit_s=10)
    unhealthy = json.loads(_local(where, "status", "-o", "json").stdout)
    problems = {one["name"]: one["problem"] for one in unhealthy["components"]}
    assert (unhealthy["healthy"], problems[victim]) == (False, "ended")
    assert victim not in cluster.down(where)
    assert not any(processes.is_alive(one) for one in identities.values())
    assert list(folder.iterdir()) == []


def test_down_works_when_the_record_is_lost(folder: pathlib.Path) -> None:
    where = folder / "home"
    cluster.up(cluster.Wanted(home=where, agent=False))
    identities = _recorded(where)
    (where / "state.json").write_text("{")
    assert sorted(cluster.down(where)) == _CONTROL_PLANE
    assert not any(processes.is_alive(one) for one in identities.values())
    assert list(folder.iterdir()) == []


def test_up_after_a_crash_starts_a_new_cluster(folder: pathlib.Path) -> None:
    where = folder / "home"
    cluster.up(cluster.Wanted(home=where, agent=False))
    before = _recorded(where)
    os.kill(before["kube-scheduler"].pid, signal.SIGKILL)
    processes.wait_gone([before["kube-scheduler"]], limit_s=10)
    assert cluster.up(cluster.Wanted(home=where, agent=False)).is_new
    after = _recorded(where)
    assert not any(processes.is_alive(one) for one in before.values())
    assert all(processes.is_alive(one) for one in after.values())


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_up_leaves_nothing(
    folder: pathlib.Path, number: signal.Signals, code: int
) -> None:
    where = folder / "home"
    process = _starting(where)
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == code
    assert _alive(where) == []
    assert list(folder.iterdir()) == []


def test_down_works_after_up_was_killed_half_way(folder: pathlib.Path) -> None:
    where = folder / "home"
    process = _starting(where)
    process.kill()
    process.communicate(timeout=60)
    assert _alive(where) != []
    assert "kube-apiserver" in cluster.down(where)
    assert _alive(where) == []
    assert list(folder.iterdir()) == []


def test_a_cluster_goes_with_an_owner_that_is_killed(folder: pathlib.Path) -> None:
    where = folder / "home"
    program = (
        "import pathlib, sys, time\n"
        "from farthing_local import cluster, guard\n"
        "home = pathlib.Path(sys.argv[1])\n"
        "with guard.Guard(home):\n"
        "    cluster.up(cluster.Wanted(home=home, agent=False))\n"
        "    print('up', flush=True)\n"
        "    time.sleep(600)\n"
    )
    owner = subprocess.Popen(
        [sys.executable, "-c", program, str(where)],
        env=_environment(where),
        stdout=subprocess.PIPE,
        text=True,
    )
    with owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "up\n"
        assert _alive(where) == _CONTROL_PLANE
        owner.kill()
    assert eventually(lambda: list(folder.iterdir()), lambda left: left == []) == []
    assert _alive(where) == []


@pytest.mark.parametrize("part", [0, 2], ids=["etcd", "kube-apiserver"])
def test_a_port_that_is_taken_in_between_is_replaced(folder: pathlib.Path, part: int) -> None:
    choices = []
    with socket.create_server(("127.0.0.1", 0)) as taken:

        def choose(count: int) -> tuple[int, ...]:
            chosen = list(ports.free_ports(count))
            if not choices:
                chosen[part] = taken.getsockname()[1]
            choices.append(tuple(chosen))
            return choices[-1]

        cluster.up(cluster.Wanted(home=folder / "home", agent=False), choose_ports=choose)
    assert len(choices) == 2
    assert {name: _port(folder / "home", name) for name in _CONTROL_PLANE} == dict(
        zip(_CONTROL_PLANE, [choices[1][at] for at in (0, 2, 3, 4)], strict=True)
    )


def test_a_part_that_cannot_start_is_one_line_and_nothing_is_left(
    folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # An interpreter that ends at once stands for a broken environment.
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(errors.ComponentError, match=r"^node-agent ended as it started: it said"):
        cluster.up(cluster.Wanted(home=folder / "home"))
    assert _alive(folder / "home") == []
    assert list(folder.iterdir()) == []


def _starting(where: pathlib.Path) -> subprocess.Popen[str]:
    """An `up` that has started the API server, which is not ready yet."""
    process = subprocess.Popen(
        [sys.executable, "-m", "farthing_local", "up"],
        env=_environment(where),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert "kube-apiserver" in eventually(lambda: _recorded(where), lambda all: len(all) > 1)
    return process
