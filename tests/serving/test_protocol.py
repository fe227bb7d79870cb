"""The Open Inference Protocol as an independent client speaks it, against a real server process."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator

import numpy as np
import pytest
import tritonclient.http as triton
from tests.serving import processes
from tests.serving.processes import Server, text_body


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with processes.emulated("--slo-milliseconds", "2000") as started:
        yield started.ready()


@pytest.fixture
def client(server: Server) -> Iterator[triton.InferenceServerClient]:
    connected = triton.InferenceServerClient(server.address)
    yield connected
    connected.close()


def expected(*items: bytes) -> list[list[float]]:
    """What the emulated model answers: the bytes of a CRC-32 over 256."""
    return [[byte / 256 for byte in zlib.crc32(item).to_bytes(4, "little")] for item in items]


def text_input(texts: list[str], shape: list[int], *, binary: bool) -> triton.InferInput:
    tensor = triton.InferInput("text", shape, "BYTES")
    values = np.array([text.encode() for text in texts], dtype=np.object_).reshape(shape)
    tensor.set_data_from_numpy(values, binary_data=binary)
    return tensor


def test_the_server_and_the_model_are_live_and_ready(client: triton.InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("emulated")
    assert client.is_model_ready("emulated", "1")
    assert not client.is_model_ready("another")


def test_metadata_says_what_is_served(client: triton.InferenceServerClient) -> None:
    assert client.get_server_metadata() == {
        "name": "farthing_server",
        "version": "0.1.0",
        "extensions": ["binary_tensor_data"],
    }
    assert client.get_model_metadata("emulated") == {
        "name": "emulated",
        "versions": ["1"],
        "platform": "farthing_emulated",
        "inputs": [
            {"name": "text", "datatype": "BYTES", "shape": [-1]},
            {"name": "features", "datatype": "FP32", "shape": [-1, -1]},
        ],
        "outputs": [{"name": "embedding", "datatype": "FP32", "shape": [-1, 4]}],
    }


@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False])
@pytest.mark.parametrize("shape", [[3], [3, 1]])
def test_text_goes_in_and_numbers_come_out_in_json_and_binary(
    client: triton.InferenceServerClient, binary_in: bool, binary_out: bool, shape: list[int]
) -> None:
    result = client.infer(
        "emulated",
        [text_input(["one", "zwei ü", ""], shape, binary=binary_in)],
        request_id="r-17",
        outputs=[triton.InferRequestedOutput("embedding", binary_data=binary_out)],
    )
    assert result.get_response()["id"] == "r-17"
    assert result.as_numpy("embedding").tolist() == expected(b"one", "zwei ü".encode(), b"")


def test_without_requested_outputs_all_are_returned_as_the_client_prefers(
    client: triton.InferenceServerClient,
) -> None:
    result = client.infer("emulated", [text_input(["one"], [1], binary=True)])
    assert result.get_response()["outputs"][0]["parameters"] == {"binary_data_size": 16}
    assert result.as_numpy("embedding").tolist() == expected(b"one")


@pytest.mark.parametrize("datatype", ["FP32", "INT32", "INT64"])
@pytest.mark.parametrize("binary", [True, False])
def test_numbers_of_every_supported_type_go_in(
    client: triton.InferenceServerClient, datatype: str, binary: bool
) -> None:
    dtype = {"FP32": np.float32, "INT32": np.int32, "INT64": np.int64}[datatype]
    values = np.array([[1, 2, 3], [-4, 5, 6]], dtype=dtype)
    tensor = triton.InferInput("features", [2, 3], datatype)
    tensor.set_data_from_numpy(values, binary_data=binary)
    result = client.infer("emulated", [tensor])
    assert result.as_numpy("embedding").tolist() == expected(
        values[0].tobytes(), values[1].tobytes()
    )


def test_nested_json_lists_are_read_row_by_row(server: Server) -> None:
    tensor = {"name": "text", "datatype": "BYTES", "shape": [2, 1], "data": [["a"], ["b"]]}
    reply = server.infer(json.dumps({"inputs": [tensor]}).encode())
    assert reply.json() == {
        "model_name": "emulated",
        "model_version": "1",
        "outputs": [
            {
                "name": "embedding",
                "datatype": "FP32",
                "shape": [2, 4],
                "data": [value for row in expected(b"a", b"b") for value in row],
            }
        ],
    }


def test_more_texts_than_a_batch_holds_are_split_and_joined_in_order(server: Server) -> None:
    texts = [f"text {number}" for number in range(40)]  # the default profile's batches hold 16
    values = server.infer(text_body(texts)).json()["outputs"][0]["data"]
    assert [values[at : at + 4] for at in range(0, 160, 4)] == expected(
        *(text.encode() for text in texts)
    )


def test_no_texts_give_an_empty_answer(server: Server) -> None:
    output = server.infer(text_body([])).json()["outputs"][0]
    assert (output["shape"], output["data"]) == ([0, 4], [])


def test_a_binary_body_holds_a_json_header_and_then_the_tensors(server: Server) -> None:
    texts = [b"one", b"two"]
    raw = b"".join(struct.pack("<I", len(text)) + text for text in texts)
    tensor = {
        "name": "text",
        "datatype": "BYTES",
        "shape": [2],
        "parameters": {"binary_data_size": len(raw)},
    }
    header = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    reply = server.infer(header + raw, {"Inference-Header-Content-Length": str(len(header))})
    length = int(reply.headers["inference-header-content-length"])
    assert reply.headers["content-type"] == "application/octet-stream"
    assert json.loads(reply.body[:length])["outputs"][0]["parameters"] == {"binary_data_size": 32}
    assert np.frombuffer(reply.body[length:], "<f4").reshape(2, 4).tolist() == expected(*texts)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/v2/models/another", 'model "another" is not served here; "emulated" is'),
        ("/v2/models/emulated/versions/2", 'model "emulated" has version "1" only'),
        ("/v1/models", "no such page: /v1/models"),
    ],
)
def test_what_is_not_served_is_404_and_says_what_is(
    server: Server, path: str, message: str
) -> None:
    reply = server.get(path)
    assert (reply.status, reply.json()) == (404, {"error": message})


def test_the_wrong_method_is_405_and_names_the_right_one(server: Server) -> None:
    reply = server.get("/v2/models/emulated/infer")
    assert (reply.status, reply.headers["allow"]) == (405, "POST")
    assert server.request("POST", "/metrics", b"").status == 405
