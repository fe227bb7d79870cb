"""Bodies that no honest client sends: each gets a 4xx that says why, and the server goes on."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.serving import processes
from tests.serving.processes import Server, text_body

from farthing_server import protocol
from farthing_server.errors import RequestError

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with processes.emulated("--slo-milliseconds", "2000") as started:
        yield started.ready()


@pytest.fixture(autouse=True)
def still_serving(server: Server) -> Iterator[None]:
    yield
    assert server.infer(text_body(["after"])).status == 200


def tensor(**changes: object) -> dict[str, object]:
    return {"name": "text", "datatype": "BYTES", "shape": [1], "data": ["a"], **changes}


def inputs(*tensors: object) -> bytes:
    return json.dumps({"inputs": tensors}).encode()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "the body is not JSON: "),
        (b"[" * 100_000, "the body is not JSON: "),
        (b'{"a":' * 5_000 + b"1" + b"}" * 5_000, "the body is not JSON: "),
        (b"[]", "the body is not a JSON object"),
        (b"{}", "inputs is a list of 1 to 16 tensors"),
        (b'{"inputs": [], "parameters": 3}', "the request: parameters is not an object"),
        (inputs(*[tensor(name=str(n)) for n in range(17)]), "inputs is a list of 1 to 16 tensors"),
        (inputs(7), "inputs: a tensor is an object"),
        (inputs(tensor(name=7)), "inputs: name is a string of at most 256 characters"),
        (inputs(tensor(), tensor()), 'input "text" is given twice'),
        (inputs(tensor(datatype="FP64")), 'input "text": datatype is one of BYTES, FP32, INT32, '),
        (inputs(tensor(shape=[])), 'input "text": shape is a list of 1 to 8 sizes'),
        (
            inputs(tensor(shape=[-1])),
            'input "text": a size in shape is a whole number of 0 or more',
        ),
        (inputs(tensor(shape=[True])), 'input "text": a size in shape is a whole number'),
        (inputs(tensor(shape=[2**40, 2**40])), 'input "text": 1208925819614629174706176 texts'),
        (inputs(tensor(shape=[65537])), 'input "text": 65537 texts, at most 65536'),
        (inputs(tensor(shape=[2])), 'input "text": shape [2] holds 2 values, data has 1'),
        (inputs(tensor(data=7)), 'input "text": data is a list of values, not 7'),
        (inputs(tensor(data=[7])), 'input "text": value 0 is not a string: 7'),
        (inputs(tensor(data=[["a"], "b"])), 'input "text": data mixes values and lists'),
        (inputs(tensor(data=json.loads("[" * 20 + "]" * 20))), 'input "text": data is nested deep'),
        (
            inputs(tensor(name="features", datatype="INT32", shape=[1, 1], data=[2**40])),
            'input "features": a value does not fit into INT32',
        ),
        (
            inputs(tensor(name="features", datatype="INT64", shape=[1, 1], data=[1.5])),
            'input "features": value 0 is not a whole number: 1.5',
        ),
        (
            inputs(tensor(name="features", datatype="FP32", shape=[1, 1], data=[None])),
            'input "features": value 0 is not a number: None',
        ),
        (inputs(tensor(name="other")), 'input "other": the emulated model has text and features'),
        (
            inputs(tensor(parameters={"binary_data_size": 3})),
            'input "text": binary_data_size is a ',
        ),
        (
            text_body(["a"], outputs=[{"name": "other"}]),
            'output "other": the model has embedding',
        ),
        (text_body(["a"], id=["x"]), "id is a string of at most 256 characters"),
    ],
)
def test_a_malformed_body_is_400_and_says_where(server: Server, body: bytes, message: str) -> None:
    reply = server.infer(body)
    assert reply.status == 400
    assert reply.json()["error"].startswith(message), reply.json()["error"]


@pytest.mark.parametrize(
    ("length", "message"),
    [
        ("-1", "inference-header-content-length: '-1' is not a number of bytes"),
        ("99999", "inference-header-content-length: 99999 bytes, but the body has 25"),
        ("²", "inference-header-content-length: "),
        ("9" * 5000, "inference-header-content-length: '9999"),
    ],
)
def test_a_header_length_that_lies_is_400(server: Server, length: str, message: str) -> None:
    reply = server.infer(b'{"inputs": []}          x', {"Inference-Header-Content-Length": length})
    assert reply.status == 400
    assert reply.json()["error"].startswith(message), reply.json()["error"]


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"\xff\xff\xff\xff", "value 0 claims 4294967295 bytes, 0 are left"),
        (b"\x01\x00\x00\x00ab", "1 bytes follow the last of 1 values"),
        (b"\x01", "1 values cannot lie in 1 bytes"),
    ],
)
def test_binary_text_that_lies_about_its_lengths_is_400(
    server: Server, raw: bytes, message: str
) -> None:
    described = {
        "name": "text",
        "datatype": "BYTES",
        "shape": [1],
        "parameters": {"binary_data_size": len(raw)},
    }
    header = inputs(described)
    reply = server.infer(header + raw, {"Inference-Header-Content-Length": str(len(header))})
    assert (reply.status, reply.json()) == (400, {"error": f'input "text": {message}'})


@pytest.mark.parametrize("value", ["0", "-5", "nan", "inf", "soon", "1e9"])
def test_a_deadline_that_is_none_is_400(server: Server, value: str) -> None:
    reply = server.infer(text_body(["a"]), {"farthing-deadline-milliseconds": value})
    assert reply.status == 400
    assert reply.json() == {
        "error": f"farthing-deadline-milliseconds: '{value}' is not allowed; "
        "a number of milliseconds above 0, at most 600000"
    }


def test_a_body_above_the_limit_is_413_and_the_connection_survives(server: Server) -> None:
    reply = server.infer(b" " * (16 * MIB + 1))
    assert (reply.status, reply.json()) == (
        413,
        {"error": "the body is larger than 16777216 bytes"},
    )


def test_a_body_of_unknown_length_is_read_up_to_the_limit_only(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(
            b"POST /v2/models/emulated/infer HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        chunk = b"100000\r\n" + b" " * MIB + b"\r\n"
        for _ in range(16):
            connection.sendall(chunk)
        connection.sendall(b"1\r\n \r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 413 ")


def test_more_items_than_may_ever_wait_are_refused_before_they_are_computed(
    server: Server,
) -> None:
    started_s = time.monotonic()
    reply = server.infer(text_body(["a"] * 60_000))
    assert (reply.status, reply.json()) == (
        413,
        {"error": "60000 items in one request, at most 1024 are taken"},
    )
    assert time.monotonic() - started_s < 5


def test_more_items_than_the_slo_allows_are_413_and_told_so(server: Server) -> None:
    reply = server.infer(text_body(["a"] * 1_000))
    assert reply.status == 413
    assert "send fewer items at once" in reply.json()["error"]


def test_compressed_bodies_are_415(server: Server) -> None:
    assert server.infer(b"x", {"Content-Encoding": "gzip"}).status == 415


@pytest.mark.parametrize(
    "raw",
    [b"\x00\x01\x02\r\n\r\n", b"GET\r\n\r\n", b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n"],
)
def test_what_is_not_http_is_400(server: Server, raw: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(raw)
        assert connection.recv(4096).startswith(b"HTTP/1.1 400 ")


def test_clients_that_leave_in_the_middle_are_forgotten(server: Server) -> None:
    before = server.metric("farthing_requests_failed_total")
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
            connection.sendall(
                b"POST /v2/models/emulated/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{"
            )
    ends_s = time.monotonic() + 20
    while server.metric("farthing_requests_failed_total") < before + 20:
        assert time.monotonic() < ends_s, "the requests are still counted as being received"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)
FIELDS = {
    "name": st.just("text") | JSON,
    "datatype": st.sampled_from(["BYTES", "FP32", "INT32", "INT64"]) | JSON,
    "shape": st.lists(st.integers(-1, 4), max_size=3) | JSON,
}
TENSORS = st.fixed_dictionaries(
    FIELDS,
    optional={
        "data": st.lists(JSON, max_size=4) | JSON,
        "parameters": st.fixed_dictionaries({"binary_data_size": st.integers(-1, 40) | JSON}),
    },
)


def status(body: bytes, header_length: str | None) -> int:
    try:
        protocol.decode(body, header_length)
    except RequestError as error:
        return error.status
    return 200


class TestDecoding:
    """No server needed: whatever comes in, a request or a 400 comes out."""

    @pytest.fixture(autouse=True)
    def still_serving(self) -> None:
        return None

    @given(
        st.fixed_dictionaries(
            {"inputs": st.lists(TENSORS, max_size=2) | JSON}, optional={"outputs": JSON, "id": JSON}
        ),
        st.binary(max_size=40),
    )
    def test_any_json_is_a_request_or_a_400(self, document: object, raw: bytes) -> None:
        header = json.dumps(document).encode()
        assert status(header + raw, str(len(header))) in (200, 400)

    @given(st.binary(max_size=200), st.none() | st.text(max_size=12))
    def test_any_bytes_are_a_request_or_a_400(self, body: bytes, length: str | None) -> None:
        assert status(body, length) in (200, 400)
