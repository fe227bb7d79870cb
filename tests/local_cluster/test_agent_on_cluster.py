"""The node agent against the real control plane: what a kubelet would do, it does."""

from __future__ import annotations

import http.client
import json
import os
import pathlib
import signal
import threading
import time
from collections.abc import Iterator

import pytest
from tests.cluster_fixture import ControlPlane, short_folder
from tests.local_cluster.agent_fixture import (
    Agent,
    deployment,
    eventually,
    is_alive,
    pod,
    request,
    running_agent,
    service,
)

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def agent(control_plane: ControlPlane) -> Iterator[Agent]:
    with short_folder() as folder, running_agent(control_plane, folder) as running:
        yield running


def run_pod(agent: Agent, name: str, **more: object) -> str:
    """Apply a pod and wait until it is ready; its address."""
    agent.control_plane.apply(pod(name, **more))  # type: ignore[arg-type]
    agent.kubectl("wait", "pod", name, "--for=condition=Ready", "--timeout=20s")
    return str(agent.status(name)["podIP"])


def test_nodes_are_ready_and_say_what_they_offer(agent: Agent) -> None:
    wait = ["wait", "node", "-l", "farthing.dev/pool=steady", "--for=condition=Ready"]
    agent.kubectl(*wait, "--timeout=20s")
    node = agent.control_plane.get("node", "steady-0")
    labels = node["metadata"]["labels"]
    assert labels["farthing.dev/capacity-type"] == "OnDemand"
    assert labels["kubernetes.io/hostname"] == "steady-0"
    assert node["status"]["allocatable"] == {
        "cpu": "8",
        "ephemeral-storage": "100Gi",
        "memory": "32Gi",
        "pods": "110",
    }
    lease = agent.control_plane.get("lease", "-n", "kube-node-lease", "steady-0")
    assert lease["metadata"]["ownerReferences"][0]["uid"] == node["metadata"]["uid"]


def test_a_service_spreads_connections_over_ready_pods_only(agent: Agent) -> None:
    agent.control_plane.apply(deployment("spread", 3), service("spread"))
    agent.kubectl("wait", "deployment", "spread", "--for=condition=Available", "--timeout=20s")
    pods = {one["metadata"]["name"]: one["status"]["podIP"] for one in agent.pods("spread")}
    address = agent.control_plane.get("service", "-n", "agent-tests", "spread")["spec"]["clusterIP"]

    def answering() -> set[str]:
        return {request(address, 8000, "/name") for _ in range(40)}

    eventually(lambda: answering() == set(pods))
    chosen = min(pods)
    kept = http.client.HTTPConnection(pods[chosen], 8080, timeout=5)
    kept.request("POST", "/unready")
    kept.getresponse().read()
    kept.close()
    eventually(lambda: answering() == set(pods) - {chosen})
    request(pods[chosen], 8080, "/recover", "POST")
    eventually(lambda: answering() == set(pods))
    agent.kubectl("delete", "deployment,service", "spread")


def test_a_failed_liveness_probe_restarts_the_container(agent: Agent) -> None:
    probe = {"httpGet": {"path": "/alive", "port": 8080}, "periodSeconds": 1}
    address = run_pod(agent, "sick", container={"livenessProbe": probe})
    request(address, 8080, "/sicken", "POST")
    # Three failures in a row, one a second.
    agent.kubectl("wait", "pod", "sick", "--for=condition=Ready=false", "--timeout=20s")
    agent.kubectl("wait", "pod", "sick", "--for=condition=Ready", "--timeout=20s")
    status = agent.status("sick")["containerStatuses"][0]
    ended = status["lastState"]["terminated"]
    assert (status["restartCount"], ended["exitCode"], ended["reason"]) == (1, 0, "Completed")
    assert agent.status("sick")["podIP"] == address


def test_a_crashing_container_backs_off_and_keeps_its_exit_code(agent: Agent) -> None:
    agent.control_plane.apply(pod("crashing", {"command": ["sh", "-c", "echo $HOME; exit 3"]}))

    def backing_off() -> bool:
        status = agent.status("crashing")["containerStatuses"][0]
        return bool(
            status["restartCount"] >= 2
            and status["state"].get("waiting", {}).get("reason") == "CrashLoopBackOff"
            and status["lastState"]["terminated"]["exitCode"] == 3
        )

    eventually(backing_off)
    assert agent.status("crashing")["phase"] == "Running"
    folder = pathlib.Path(agent.kubectl("logs", "crashing").strip())
    assert folder.is_relative_to(agent.state)
    agent.kubectl("delete", "pod", "crashing")
    eventually(lambda: not folder.exists())


def test_a_startup_probe_holds_the_others_back(agent: Agent) -> None:
    slow = {"exec": {"command": ["sh", "-c", "test -e $HOME/up"]}, "periodSeconds": 1}
    agent.control_plane.apply(pod("late", {"startupProbe": {**slow, "failureThreshold": 60}}))
    eventually(lambda: agent.status("late")["phase"] == "Running")
    first = agent.status("late")["containerStatuses"][0]
    assert (first["started"], first["ready"]) == (False, False)
    environment = json.loads(request(agent.status("late")["podIP"], 8080, "/environment"))
    pathlib.Path(environment["HOME"], "up").touch()
    agent.kubectl("wait", "pod", "late", "--for=condition=Ready", "--timeout=20s")


def test_a_deleted_pod_finishes_its_requests_after_its_hook(agent: Agent) -> None:
    hook = {"preStop": {"httpGet": {"path": "/prestop", "port": "http"}}}
    address = run_pod(agent, "drained", container={"lifecycle": hook})
    answers: list[str] = []
    slow = threading.Thread(target=lambda: answers.append(request(address, 8080, "/slow")))
    lines: list[str] = []
    follow = threading.Thread(target=lambda: lines.append(agent.kubectl("logs", "-f", "drained")))
    follow.start()
    slow.start()
    time.sleep(0.3)  # the request must be under way before the pod is told to go
    agent.kubectl("delete", "pod", "drained")
    slow.join()
    follow.join()
    assert answers == ["drained"]
    assert lines[0].split() == ["started", "prestop", "terminated"]


def test_a_pod_that_will_not_go_is_killed_after_its_grace(agent: Agent) -> None:
    run_pod(agent, "stubborn", container={"args": ["--stubborn"]}, terminationGracePeriodSeconds=1)
    processes = set(agent.pod_processes())
    began_s = time.monotonic()
    agent.kubectl("delete", "pod", "stubborn", "--wait=false")
    eventually(lambda: agent.status("stubborn")["conditions"][2]["status"] == "False")
    agent.kubectl("wait", "pod", "stubborn", "--for=delete", "--timeout=20s")
    assert 1.0 <= time.monotonic() - began_s < 4.0
    (ended,) = processes - set(agent.pod_processes())
    assert not is_alive(ended)


def test_an_unknown_image_is_pulled_again_until_it_is_known(agent: Agent) -> None:
    agent.control_plane.apply(pod("later", {"image": "test/later:1"}))
    seen: list[str] = []

    def backing_off() -> bool:
        (status,) = agent.status("later")["containerStatuses"]
        seen.append(status["state"]["waiting"]["reason"])
        return seen[-1] == "ImagePullBackOff"

    eventually(lambda: agent.status("later").get("containerStatuses"))
    eventually(backing_off)
    assert set(seen) <= {"ContainerCreating", "ErrImagePull", "ImagePullBackOff"}
    assert "ErrImagePull" in seen
    agent.set_images("test/web:1", "test/later:1")
    agent.kubectl("wait", "pod", "later", "--for=condition=Ready", "--timeout=20s")


def test_logs_can_be_asked_for_by_line_and_by_run(agent: Agent) -> None:
    address = run_pod(agent, "talker", container={"args": ["--on", "$(POD_NAME)"]})
    request(address, 8080, "/recover", "POST")
    assert agent.kubectl("logs", "talker") == "started --on talker\ntold /recover\n"
    assert agent.kubectl("logs", "talker", "--tail=1") == "told /recover\n"
    request(address, 8080, "/die", "POST")
    eventually(lambda: agent.status("talker")["containerStatuses"][0]["restartCount"] == 1)
    eventually(lambda: agent.kubectl("logs", "talker") == "started --on talker\n")
    assert agent.kubectl("logs", "talker", "--previous").endswith("told /die\n")


def test_a_pod_gets_its_variables_volumes_and_its_own_identity(agent: Agent) -> None:
    agent.kubectl("create", "configmap", "settings", "--from-literal=color=blue")
    agent.kubectl("create", "secret", "generic", "hidden", "--from-literal=word=sesame")
    container = pod("x")["spec"]["containers"][0]
    container["env"] += [
        {"name": "COLOR", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "color"}}},
        {"name": "WORD", "valueFrom": {"secretKeyRef": {"name": "hidden", "key": "word"}}},
        {"name": "BOTH", "value": "$(COLOR)-$(WORD)"},
    ]
    container["volumeMounts"] = [{"name": "my-files", "mountPath": "/etc/files"}]
    volumes = [{"name": "my-files", "configMap": {"name": "settings"}}]
    address = run_pod(agent, "rich", container=container, volumes=volumes)
    given = json.loads(request(address, 8080, "/environment"))
    assert {key: given[key] for key in ("COLOR", "WORD", "BOTH", "FROM_IMAGE", "POD_IP")} == {
        "COLOR": "blue",
        "WORD": "sesame",
        "BOTH": "blue-sesame",
        "FROM_IMAGE": "yes",
        "POD_IP": address,
    }
    assert pathlib.Path(given["FARTHING_VOLUME_MY_FILES"], "color").read_text() == "blue"
    assert "PYTHONPATH" not in given
    who = agent.control_plane.kubectl(
        f"--kubeconfig={given['KUBECONFIG']}", "auth", "whoami", "-o", "json"
    )
    user = json.loads(who.stdout)["status"]["userInfo"]
    assert user["username"] == "system:serviceaccount:agent-tests:default"
    assert user["extra"]["authentication.kubernetes.io/pod-name"] == ["rich"]
    assert os.stat(pathlib.Path(given["HOME"]).parent).st_mode & 0o777 == 0o700


def test_an_interrupted_node_gives_notice_and_is_then_gone_with_its_pods(agent: Agent) -> None:
    on_spot = {"farthing.dev/pool": "fickle"}
    agent.control_plane.apply(deployment("fickle", 1, nodeSelector=on_spot))
    agent.kubectl("wait", "deployment", "fickle", "--for=condition=Available", "--timeout=20s")
    (lost,) = agent.pods("fickle")
    node = lost["spec"]["nodeName"]
    wanted = {"node": node, "noticeSeconds": 1, "replaceAfterSeconds": 0.5}
    status, answer = agent.ask("POST", "/interrupt", wanted)
    assert (status, answer["node"]) == (200, node)
    (taint,) = agent.control_plane.get("node", node)["spec"]["taints"]
    assert (taint["key"], taint["effect"]) == ("farthing.dev/interrupted", "NoSchedule")
    assert "timeAdded" in taint
    again = agent.ask("POST", "/interrupt", wanted)
    assert (again[0], again[1]["error"][:16]) == (400, f"node: is '{node}'"[:16])

    def names() -> set[str]:
        listed = agent.control_plane.get("nodes", "-l", "farthing.dev/pool=fickle")["items"]
        return {one["metadata"]["name"] for one in listed}

    survivor = next(iter({"fickle-0", "fickle-1"} - {node}))
    eventually(lambda: names() == {survivor, "fickle-2"})
    agent.kubectl("wait", "deployment", "fickle", "--for=condition=Available", "--timeout=20s")
    assert lost["metadata"]["uid"] not in [one["metadata"]["uid"] for one in agent.pods("fickle")]
    assert {one["name"] for one in agent.ask("GET", "/status")[1]["nodes"]} == {
        "steady-0",
        "steady-1",
        survivor,
        "fickle-2",
    }
    agent.kubectl("delete", "deployment", "fickle")


def test_an_agent_that_was_killed_takes_its_pods_over_again(agent: Agent) -> None:
    address = run_pod(agent, "survivor")
    before = set(agent.pod_processes())
    agent.stop(signal.SIGKILL)
    agent.start()

    def restarted() -> bool:
        status = agent.status("survivor")["containerStatuses"][0]
        return bool(status["restartCount"] == 1 and status["ready"])

    eventually(restarted)
    status = agent.status("survivor")
    assert status["podIP"] == address
    ended = status["containerStatuses"][0]["lastState"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (137, "ContainerStatusUnknown")
    assert request(address, 8080, "/name") == "survivor"
    left = before - set(agent.pod_processes())
    assert left
    assert not [pid for pid in left if is_alive(pid)]


def test_nothing_is_written_about_a_pod_that_does_not_change(agent: Agent) -> None:
    run_pod(agent, "quiet")

    def about_it() -> int:
        writes = agent.control_plane.writes("farthing-node-agent")
        names = [entry["objectRef"].get("name", "") for entry in writes]
        return len([name for name in names if name.startswith("quiet")])

    before = about_it()
    time.sleep(3)  # three rounds of its readiness probe
    assert about_it() == before
