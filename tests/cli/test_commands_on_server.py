"""The commands that read from an API server, on a real one."""

from __future__ import annotations

import json
import pathlib
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from tests.api import samples
from tests.cli import program, resources
from tests.cli.test_plan_command import POOLS, PROFILE, SERVICE
from tests.cluster_fixture import ControlPlane

from farthing.api.decoding import KINDS

pytestmark = pytest.mark.cluster

_NAMES = [f"{kind.definition.plural}.farthing.dev" for kind in KINDS.values()]


@pytest.fixture(scope="module")
def server(control_plane: ControlPlane) -> Iterator[ControlPlane]:
    """A control plane with the resources of Farthing and one service without an operator."""
    before = program.run("status", KUBECONFIG=str(control_plane.kubeconfig))
    assert program.answer(before)[0] == 1, "nothing of Farthing is installed yet"
    assert before.stderr.endswith("Next: install them with: kubectl apply -k crds\n")
    control_plane.kubectl("apply", "-k", str(samples.CRDS))
    control_plane.kubectl(
        "wait", "--for=condition=Established", "--timeout=30s", *(f"crd/{name}" for name in _NAMES)
    )
    control_plane.kubectl("create", "namespace", "shop")
    control_plane.apply(*yaml.safe_load_all(f"{POOLS}---{SERVICE}---{PROFILE}"))
    yield control_plane
    for name in _NAMES:
        control_plane.kubectl("delete", name, "--all", "--all-namespaces")


def _patch_status(server: ControlPlane, status: dict[str, Any]) -> None:
    server.kubectl(
        "patch",
        "inferenceservices.farthing.dev",
        "sentiment",
        "--namespace=shop",
        "--subresource=status",
        "--type=merge",
        f"--patch={json.dumps({'status': status})}",
    )


def _run(server: ControlPlane, *arguments: str) -> tuple[int, str, str]:
    return program.answer(program.run(*arguments, KUBECONFIG=str(server.kubeconfig)))


def test_a_service_that_no_operator_saw_is_blind(server: ControlPlane) -> None:
    _patch_status(server, {"conditions": None, "decision": None})
    code, shown, hints = _run(server, "status", "-A")
    assert (code, hints, "! shop/sentiment: Status unknown" in shown) == (3, "", True)


def test_the_record_that_plan_shows_is_one_that_the_server_takes_and_explain_shows(
    server: ControlPlane, tmp_path: pathlib.Path
) -> None:
    path = tmp_path / "all.yaml"
    path.write_text(f"{POOLS}---{SERVICE}---{PROFILE}")
    arguments = ("plan", "-f", str(path), "--requests-per-second", "200")
    planned = json.loads(program.run(*arguments, "-o", "json").stdout)
    decision = planned["services"][0]["decision"]
    _patch_status(server, {**resources.STATUS, "decision": decision})

    as_json = _run(server, "explain", "sentiment", "-n", "shop", "-o", "json")
    as_text = _run(server, "explain", "sentiment", "-n", "shop")

    assert (as_json[0], json.loads(as_json[1]), as_json[2]) == (0, decision, "")
    record = program.run(*arguments).stdout.partition("\n\n")[2]
    assert _without_budget(as_text[1]) == _without_budget(record)


def _without_budget(record: str) -> list[str]:
    """What was spent differs between files and a cluster; nothing else does."""
    return [line for line in record.splitlines() if not line.startswith("Budget ")]


def test_what_kubectl_prints_can_be_planned(server: ControlPlane) -> None:
    dump = server.kubectl("get", ",".join(_NAMES), "--all-namespaces", "-o", "yaml").stdout
    result = program.run("plan", "-f", "-", "-o", "json", stdin=dump)
    assert (result.exit_code, result.stderr) == (0, "")
    assert [one["name"] for one in json.loads(result.stdout)["services"]] == ["sentiment"]


def test_reading_writes_nothing(server: ControlPlane) -> None:
    before = len(server.writes())
    _run(server, "status", "-A")
    _run(server, "explain", "sentiment", "-n", "shop")
    assert len(server.writes()) == before


def test_a_tenant_sees_its_services_and_is_told_what_it_may_not_see(
    server: ControlPlane, tmp_path: pathlib.Path
) -> None:
    _patch_status(server, resources.STATUS)
    server.kubectl("create", "serviceaccount", "tenant", "--namespace=shop")
    role = ("--verb=get,list", "--resource=inferenceservices.farthing.dev", "--namespace=shop")
    server.kubectl("create", "role", "reads", *role)
    binding = ("--role=reads", "--serviceaccount=shop:tenant", "--namespace=shop")
    server.kubectl("create", "rolebinding", "reads", *binding)
    kubeconfig = yaml.safe_load(server.kubeconfig.read_text())
    token = server.kubectl("create", "token", "tenant", "--namespace=shop").stdout.strip()
    kubeconfig["users"][0]["user"] = {"token": token}
    path = tmp_path / "tenant"
    path.write_text(yaml.safe_dump(kubeconfig))

    own = program.run("status", "-n", "shop", KUBECONFIG=str(path))
    everyone = program.run("status", "-A", KUBECONFIG=str(path))

    assert (own.exit_code, own.stderr) == (0, "")
    assert re.search(
        r"^cluster budgets  unknown: .* refuses to tell: .* is forbidden", own.stdout, re.M
    )
    assert (everyone.exit_code, everyone.stdout) == (1, "")
    assert everyone.stderr.splitlines()[1:] == [
        "Next: ask for get and list of the resources of farthing.dev"
    ]
