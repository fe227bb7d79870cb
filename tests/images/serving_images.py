"""The serving images answer an independent client of the Open Inference Protocol, and drain."""

from __future__ import annotations

import concurrent.futures
import json
import time
import zlib
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import tritonclient.http as triton
from tests.images import containers
from tests.images.containers import Container
from tests.images.errors import ImageError
from tests.images.storage import Storage

Array = npt.NDArray[np.float32]

READY_LIMIT_S = 120.0
_DRAIN_LIMIT_S = 30.0
_TEXTS = ("A farthing was the smallest coin.", "zwei ü", "")
# A batch that takes so long is certainly still being computed when SIGTERM arrives.
_SLOW_BATCH_MS = 2000
_SLOW_PROFILE = {
    "maximumBatchSize": 8,
    "batches": [{"size": 1, "milliseconds": str(_SLOW_BATCH_MS)}],
}
_EMBEDDING_SIZE = 384


def check_emulated(storage: Storage, image: str) -> dict[str, str]:
    """Figures of the emulated runtime. Raises ImageError where it does not keep a promise."""
    with containers.running(storage, image) as container:
        ready_s = container.ready_after_s("/v2/health/ready", limit_s=READY_LIMIT_S)
        containers.require_strict(container)
        _require_same(container, "emulated", _emulated_answer)
    profile = ("--profile", json.dumps(_SLOW_PROFILE), "--slo-milliseconds", "30000")
    with containers.running(storage, image, arguments=profile) as container:
        container.ready_after_s("/v2/health/ready", limit_s=READY_LIMIT_S)
        drained_s = _drained_after_s(container, "emulated")
    return {"start to ready": f"{ready_s:.2f} s", "SIGTERM to exit 0": f"{drained_s:.2f} s"}


def check_server(storage: Storage, image: str) -> dict[str, str]:
    """The same for the image with the real text-embedding model inside."""
    model = ("--name", "minilm", "--model", "image:///models/all-minilm-l6-v2")
    limits = ("--slo-milliseconds", "60000", "--threads", "1")
    with containers.running(storage, image, arguments=(*model, *limits)) as container:
        ready_s = container.ready_after_s("/v2/health/ready", limit_s=READY_LIMIT_S)
        containers.require_strict(container)
        _require_same(container, "minilm", None)
        drained_s = _drained_after_s(container, "minilm", items=400)
    return {"start to ready": f"{ready_s:.2f} s", "SIGTERM to exit 0": f"{drained_s:.2f} s"}


def _emulated_answer(text: str) -> list[float]:
    """What the emulated model answers: the bytes of a CRC-32 over 256."""
    return [byte / 256 for byte in zlib.crc32(text.encode()).to_bytes(4, "little")]


def _require_same(
    container: Container, model: str, expected: Callable[[str], list[float]] | None
) -> None:
    """JSON and binary, both ways, give the same answer, and it is the right one."""
    client = triton.InferenceServerClient(container.address)
    try:
        if not (client.is_server_live() and client.is_model_ready(model)):
            raise container.failed(f"says that {model} is not ready")
        if client.get_model_metadata(model)["name"] != model:
            raise container.failed("names another model in its metadata")
        answers = [
            infer(client, model, _TEXTS, binary_in=binary_in, binary_out=binary_out)
            for binary_in in (False, True)
            for binary_out in (False, True)
        ]
    except (triton.InferenceServerException, OSError) as error:
        raise container.failed(f"does not answer the client ({error})") from error
    finally:
        client.close()
    first = answers[0]
    if any(not np.allclose(first, other, atol=1e-5, rtol=0) for other in answers[1:]):
        raise container.failed("answers JSON and binary requests differently")
    if expected is not None and first.tolist() != [expected(text) for text in _TEXTS]:
        raise container.failed(f"answered {first.tolist()}")
    if expected is None and not _are_embeddings(first):
        raise container.failed(f"answered {first.shape} that are no unit vectors")


def _are_embeddings(answer: Array) -> bool:
    lengths = np.linalg.norm(answer, axis=1)
    return answer.shape == (len(_TEXTS), _EMBEDDING_SIZE) and bool(
        np.allclose(lengths, 1, atol=1e-3)
    )


def infer(
    client: triton.InferenceServerClient,
    model: str,
    texts: tuple[str, ...],
    *,
    binary_in: bool,
    binary_out: bool,
) -> Array:
    """The embeddings of the texts."""
    tensor = triton.InferInput("text", [len(texts)], "BYTES")
    values = np.array([text.encode() for text in texts], dtype=np.object_)
    tensor.set_data_from_numpy(values, binary_data=binary_in)
    wanted = triton.InferRequestedOutput("embedding", binary_data=binary_out)
    answer: Array = client.infer(model, [tensor], outputs=[wanted]).as_numpy("embedding")
    return answer


def _drained_after_s(container: Container, model: str, *, items: int = 1) -> float:
    """SIGTERM while a request is computed: it is answered, and the container ends with 0."""
    texts = tuple(f"sentence {number} of a request that takes a while" for number in range(items))
    client = triton.InferenceServerClient(container.address, network_timeout=60)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        request = pool.submit(infer, client, model, texts, binary_in=True, binary_out=True)
        _await_in_flight(container, request)
        at_s = time.monotonic()
        container.terminate()
        code = container.exit_code(limit_s=_DRAIN_LIMIT_S)
        took_s = time.monotonic() - at_s
        try:
            answered = len(request.result(timeout=5))
        except (triton.InferenceServerException, OSError, TimeoutError) as error:
            raise container.failed(f"lost an accepted request on SIGTERM ({error!r})") from error
    if code or answered != items:
        raise container.failed(f"ended with {code} after SIGTERM and {answered} of {items} answers")
    return took_s


def _await_in_flight(container: Container, request: concurrent.futures.Future[Array]) -> None:
    ends_s = time.monotonic() + _DRAIN_LIMIT_S
    while time.monotonic() < ends_s and not request.done():
        metrics = containers.get(container.port, "/metrics")[1].splitlines()
        values = [
            line.split()[-1] for line in metrics if line.startswith("farthing_requests_in_flight")
        ]
        if any(float(value) > 0 for value in values):
            return
        time.sleep(0.01)
    raise ImageError(
        f"{container.name} never showed a request in flight.", next_step="See its /metrics."
    )
