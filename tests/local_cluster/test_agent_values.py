"""The agent's small value modules: addresses, waits, expansion, fields, probes, node counts."""

from __future__ import annotations

import datetime
import pathlib

import pytest

from farthing_local.agent import addresses, container_logs, fields, nodes, services, settings
from farthing_local.agent.backoff import BackOff
from farthing_local.agent.documents import Json
from farthing_local.agent.expansion import command_line, expand
from farthing_local.agent.interruptions import InterruptionRequest, InvalidRequestError
from farthing_local.agent.node_fleet import Census, census
from farthing_local.agent.probes import ProbeKind, ProbeState, ProbeTiming, Verdict
from farthing_local.agent.settings import Pool

AT = datetime.datetime(2026, 3, 1, 12, 0, 0, tzinfo=datetime.UTC)


def test_an_address_in_use_is_never_given_twice() -> None:
    pool = addresses.AddressPool(7)
    given = [pool.allocate() for _ in range(600)]
    assert len(set(given)) == 600
    assert given[:2] == ["127.7.1.1", "127.7.1.2"]
    assert not [one for one in given if one.endswith((".0", ".255"))]


def test_a_freed_address_rests_while_others_are_free() -> None:
    pool = addresses.AddressPool(7)
    first = pool.allocate()
    pool.release(first)
    assert pool.allocate() == "127.7.1.2"


def test_a_pool_says_when_it_is_empty() -> None:
    pool = addresses.AddressPool(1)
    # 254 third octets (1 to 254) with 254 last octets each.
    for _ in range(254 * 254):
        pool.allocate()
    with pytest.raises(addresses.AddressesExhaustedError, match=r"127\.1\.0\.0/16"):
        pool.allocate()


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.7.1.9", True),
        ("127.7.1.1", False),
        ("127.8.1.9", False),
        ("127.7.0.1", False),
        ("::1", False),
    ],
    ids=["free", "in use", "other block", "the agent's own", "not IPv4"],
)
def test_only_free_addresses_of_the_block_are_reserved(address: str, expected: bool) -> None:
    pool = addresses.AddressPool(7)
    pool.allocate()
    assert pool.reserve(address) is expected


def test_two_agents_try_the_same_blocks_in_different_orders() -> None:
    one, other = addresses.preferred_blocks("/a"), addresses.preferred_blocks("/b")
    assert one == addresses.preferred_blocks("/a")
    assert one[0] != other[0]
    assert sorted(one) == sorted(other) == list(range(1, 240))


def test_waits_double_up_to_a_minute_and_are_forgiven_after_ten_minutes() -> None:
    backoff, waits = BackOff(), []
    for _ in range(8):
        backoff = backoff.after_failure(ran_s=1)
        waits.append(backoff.wait_s)
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]
    assert backoff.after_failure(ran_s=600).wait_s == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("--host=$(IP)", "--host=127.1.1.1"),
        ("$(IP):$(PORT)", "127.1.1.1:80"),
        ("$(UNKNOWN)", "$(UNKNOWN)"),
        ("$$(IP)", "$(IP)"),
        ("$$$(IP)", "$127.1.1.1"),
        ("$IP costs 5$", "$IP costs 5$"),
        ("$(NESTED)", "$(IP)"),
        ("", ""),
    ],
)
def test_references_are_expanded_once_and_from_left_to_right(text: str, expected: str) -> None:
    assert expand(text, {"IP": "127.1.1.1", "PORT": "80", "NESTED": "$(IP)"}) == expected


@pytest.mark.parametrize(
    ("command", "args", "expected"),
    [
        ([], [], ("python", "-m", "$(IP)")),
        ([], ["$(IP)"], ("python", "-m", "$(IP)", "x")),
        (["sh"], [], ("sh",)),
        (["sh", "$(IP)"], ["a"], ("sh", "x", "a")),
    ],
    ids=["image alone", "args follow", "command replaces", "both"],
)
def test_command_replaces_the_entrypoint_and_args_follow(
    command: list[str], args: list[str], expected: tuple[str, ...]
) -> None:
    assert command_line(["python", "-m", "$(IP)"], command, args, {"IP": "x"}) == expected


POD: Json = {
    "metadata": {
        "name": "web-1",
        "namespace": "shop",
        "uid": "u1",
        "labels": {"app": "web"},
        "annotations": {"a/b": "c"},
    },
    "spec": {"nodeName": "n-0", "serviceAccountName": "robot"},
}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("metadata.name", "web-1"),
        ("metadata.namespace", "shop"),
        ("metadata.uid", "u1"),
        ("metadata.labels['app']", "web"),
        ("metadata.labels['absent']", ""),
        ("metadata.annotations['a/b']", "c"),
        ("metadata.labels", 'app="web"'),
        ("spec.nodeName", "n-0"),
        ("spec.serviceAccountName", "robot"),
        ("status.podIP", "127.1.1.1"),
        ("status.hostIP", "127.0.0.1"),
    ],
)
def test_a_pod_can_ask_for_its_own_fields(path: str, expected: str) -> None:
    assert fields.pod_field(path, POD, pod_ip="127.1.1.1", host_ip="127.0.0.1") == expected


def test_an_unknown_field_is_refused_with_what_is_allowed() -> None:
    with pytest.raises(fields.UnknownFieldError, match=r"'spec\.color': must be one of metadata"):
        fields.pod_field("spec.color", POD, pod_ip="", host_ip="")


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ({"resource": "limits.cpu"}, "2"),
        ({"resource": "limits.cpu", "divisor": "1m"}, "1500"),
        ({"resource": "limits.memory", "divisor": "1Mi"}, "512"),
        ({"resource": "requests.cpu"}, "8"),
        ({"resource": "limits.ephemeral-storage"}, "0"),
    ],
    ids=["rounded up", "in millis", "in Mi", "not set: the node's", "unknown to the node"],
)
def test_limits_are_given_in_units_of_the_divisor(reference: Json, expected: str) -> None:
    container = {"resources": {"limits": {"cpu": "1500m", "memory": "512Mi"}}}
    assert fields.resource_field(reference, container, {"cpu": "8"}) == expected


@pytest.mark.parametrize(
    ("kind", "answers", "expected"),
    [
        (ProbeKind.READINESS, "", Verdict.FAILED),
        (ProbeKind.LIVENESS, "", Verdict.PASSED),
        (ProbeKind.STARTUP, "", Verdict.UNDECIDED),
        (ProbeKind.READINESS, "+", Verdict.FAILED),
        (ProbeKind.READINESS, "++", Verdict.PASSED),
        (ProbeKind.READINESS, "++--", Verdict.PASSED),
        (ProbeKind.READINESS, "++---", Verdict.FAILED),
        (ProbeKind.LIVENESS, "--+--", Verdict.PASSED),
        (ProbeKind.LIVENESS, "---", Verdict.FAILED),
    ],
)
def test_a_verdict_changes_once_enough_answers_in_a_row_agree(
    kind: ProbeKind, answers: str, expected: Verdict
) -> None:
    timing = ProbeTiming(success_threshold=2, failure_threshold=3)
    state = ProbeState.initial(kind)
    for answer in answers:
        state = state.after(answer == "+", timing)
    assert state.verdict is expected


def test_a_probe_without_numbers_has_those_of_kubernetes() -> None:
    assert ProbeTiming.of({}) == ProbeTiming(
        initial_delay_s=0, period_s=10, timeout_s=1, success_threshold=1, failure_threshold=3
    )


SPOT = Pool(name="spot", capacity_type="Spot", nodes=2)


def node(ordinal: int, *, interrupted: bool = False) -> tuple[str, Json]:
    document = nodes.node_document(SPOT, f"spot-{ordinal}", kubelet_port=1, at=AT)
    if interrupted:
        document["spec"]["taints"] = nodes.interrupted_taints(document, AT)
    return f"spot-{ordinal}", document


@pytest.mark.parametrize(
    ("present", "expected"),
    [
        ([], Census(keep=(), create=("spot-0", "spot-1"), remove=())),
        ([node(0), node(1)], Census(keep=("spot-0", "spot-1"), create=(), remove=())),
        ([node(1)], Census(keep=("spot-1",), create=("spot-2",), remove=())),
        (
            [node(3), node(0), node(2)],
            Census(keep=("spot-0", "spot-2"), create=(), remove=("spot-3",)),
        ),
        (
            [node(0), node(1, interrupted=True)],
            Census(keep=("spot-0",), create=("spot-2",), remove=("spot-1",)),
        ),
    ],
    ids=["none yet", "complete", "one lost", "one too many", "one on notice"],
)
def test_a_pool_is_brought_to_its_number_under_names_never_used_before(
    present: list[tuple[str, Json]], expected: Census
) -> None:
    assert census(SPOT, dict(present)) == expected


def test_a_notice_leaves_other_taints_alone() -> None:
    document = {"spec": {"taints": [{"key": "gpu", "effect": "NoSchedule"}]}}
    expected = [
        {"key": "gpu", "effect": "NoSchedule"},
        {
            "key": "farthing.dev/interrupted",
            "effect": "NoSchedule",
            "timeAdded": "2026-03-01T12:00:00Z",
        },
    ]
    assert nodes.interrupted_taints(document, AT) == expected


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"nodes": "a"}, "nodes: unknown, must be one of node, pool"),
        ({"pool": 3}, "pool: is 3, must be a name or null"),
        ({"noticeSeconds": -1}, "noticeSeconds: is -1, must be a number from 0 to 86400"),
        ({"replace": "no"}, "replace: is 'no', must be true or false"),
        ([], "must be an object"),
    ],
)
def test_a_wrong_interruption_is_refused_by_name(document: object, message: str) -> None:
    with pytest.raises(InvalidRequestError, match=message):
        InterruptionRequest.of(document)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "must be a list of pools"),
        ("[{name: A, capacityType: Spot, nodes: 1}]", r"pools\[0\]\.name: is 'A'"),
        ("[{name: a, capacityType: Cheap, nodes: 1}]", "'Cheap', must be one of Reserved"),
        ("[{name: a, capacityType: Spot, nodes: -1}]", "nodes: is -1, must be a number"),
        ("[{name: a, capacityType: Spot, nodes: 1, cpu: 2}]", "cpu: unknown field"),
        ("[{name: a, capacityType: Spot, nodes: 1, node: {accelerator: {}}}]", "resourceName"),
        (
            "[{name: a, capacityType: Spot, nodes: 1}, {name: a, capacityType: Spot, nodes: 1}]",
            "'a' is used more than once",
        ),
        ("[", "is not YAML"),
    ],
)
def test_a_wrong_pool_is_refused_by_field_and_value(
    tmp_path: pathlib.Path, text: str, message: str
) -> None:
    path = tmp_path / "nodes.yaml"
    path.write_text(text)
    with pytest.raises(settings.InvalidSettingError, match=message):
        settings.read_pools(path)


def test_a_service_is_served_only_on_a_loopback_address_with_a_selector() -> None:
    ports = [{"port": 80}, {"port": 53, "protocol": "UDP"}]
    service: Json = {
        "metadata": {"uid": "s"},
        "spec": {"clusterIP": "127.240.1.2", "selector": {"app": "web"}, "ports": ports},
    }
    headless = {**service, "spec": {**service["spec"], "clusterIP": "None"}}
    without_selector = {**service, "spec": {**service["spec"], "selector": {}}}
    elsewhere = {**service, "spec": {**service["spec"], "clusterIP": "10.0.0.1"}}
    expected = {services.Frontend("s", "127.240.1.2", 80): {"port": 80}}
    assert services.frontends(service) == expected
    assert [services.frontends(one) for one in (headless, without_selector, elsewhere)] == [{}] * 3


@pytest.mark.parametrize(
    ("service_port", "expected"),
    [
        ({"port": 80}, 80),
        ({"port": 80, "targetPort": 8080}, 8080),
        ({"port": 80, "targetPort": "http"}, 9000),
        ({"port": 80, "targetPort": "absent"}, None),
    ],
)
def test_a_target_port_is_found_by_number_or_name(service_port: Json, expected: int | None) -> None:
    pod = {"spec": {"containers": [{"ports": [{"name": "http", "containerPort": 9000}]}]}}
    assert services.backend_port(service_port, pod) == expected


@pytest.mark.parametrize(
    ("text", "lines", "expected"),
    [
        ("a\nb\nc\n", None, "a\nb\nc\n"),
        ("a\nb\nc\n", 2, "b\nc\n"),
        ("a\nb\nc", 2, "b\nc"),
        ("a\n", 9, "a\n"),
        ("a\n", 0, ""),
        ("", 3, ""),
        ("x" * 200_000 + "\nlast\n", 1, "last\n"),
        ("one\n" + "y" * 200_000 + "\n", 1, "y" * 200_000 + "\n"),
    ],
)
def test_the_last_lines_of_a_log_are_found(
    tmp_path: pathlib.Path, text: str, lines: int | None, expected: str
) -> None:
    path = tmp_path / "0.log"
    path.write_text(text)
    assert text[container_logs.tail_offset(path, lines) :] == expected


def test_a_log_is_emptied_once_it_is_too_long(tmp_path: pathlib.Path) -> None:
    logs = container_logs.ContainerLogs(tmp_path)
    with logs.open_run(0) as output:
        output.write(b"x" * 100)
        logs.bound(0, largest_bytes=100)
        assert logs.path(0).stat().st_size == 100
        output.write(b"y")
        logs.bound(0, largest_bytes=100)
        output.write(b"z")
    assert logs.path(0).read_bytes() == b"z"
