"""Text in, embeddings out: tokenizing and computing in one thread of the model's own."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from farthing_server import model_files
from farthing_server.errors import ModelError
from farthing_server.protocol import InferRequest, Output, TensorSpec
from farthing_server.tensors import bad

if TYPE_CHECKING:
    from farthing_server.bert import BertEmbedder

MAXIMUM_TEXT_BYTES = 64 * 1024
SAMPLE = (
    b"A replica that has just started answers its first requests slowly, so a few ordinary "
    b"sentences like this one are computed before it says that it is ready."
)


class EmbeddingModel:
    platform = "farthing_torch"
    inputs = (TensorSpec(name="text", datatype="BYTES", shape=(-1,)),)

    def __init__(self, folder: pathlib.Path, *, precision: str, threads: int) -> None:
        self._files = model_files.read(folder)
        self._precision = precision
        self._threads = threads
        self._width = self._files.config.hidden_size
        self.outputs = (TensorSpec(name="embedding", datatype="FP32", shape=(-1, self._width)),)
        self._thread = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="model")
        self._tokenizer: Any = None
        self._embedder: BertEmbedder | None = None

    async def load(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self._load)

    def _load(self) -> None:
        """Imports of several hundred megabytes and the weights: in the thread, probes go on."""
        os.environ.setdefault("RAYON_NUM_THREADS", str(self._threads))
        # Threads that spin while they wait take the CPU from those they wait for (p99 333 -> 39 ms).
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        import tokenizers

        from farthing_server import bert

        try:
            text = self._files.tokenizer.read_text(encoding="utf-8")
            self._tokenizer = tokenizers.Tokenizer.from_str(text)
        except Exception as error:  # noqa: BLE001 - the library raises nothing narrower
            raise ModelError(f"{self._files.tokenizer} cannot be read: {error}") from None
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(self._files.maximum_tokens)
        if self._tokenizer.get_vocab_size() > self._files.config.vocab_size:
            raise ModelError(f"{self._files.tokenizer} has more tokens than config.json says")
        self._embedder = bert.BertEmbedder(self._files, self._precision, self._threads)

    def items(self, request: InferRequest) -> Sequence[bytes]:
        if len(request.inputs) != 1 or request.inputs[0].name != "text":
            raise bad("the model takes one input: text")
        tensor = request.inputs[0]
        if tensor.datatype != "BYTES" or tensor.shape[1:] not in ((), (1,)):
            raise bad('input "text": BYTES of shape [n] or [n, 1]')
        texts = [text for text in tensor.values if isinstance(text, bytes)]
        for position, text in enumerate(texts):
            _check(position, text)
        return texts

    def samples(self, count: int) -> Sequence[bytes]:
        return [SAMPLE] * count

    def known_batch_s(self, size: int) -> float | None:
        return None

    async def compute(self, items: Sequence[bytes]) -> list[bytes]:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._compute, items)

    def _compute(self, items: Sequence[bytes]) -> list[bytes]:
        assert self._embedder is not None, "computed before loaded"
        encoded = self._tokenizer.encode_batch([item.decode() for item in items])
        return self._embedder.embed([encoding.ids for encoding in encoded])

    def output(self, rows: Sequence[bytes]) -> list[Output]:
        shape = (len(rows), self._width)
        return [Output(name="embedding", datatype="FP32", shape=shape, raw=b"".join(rows))]

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)


def _check(position: int, text: bytes) -> None:
    if len(text) > MAXIMUM_TEXT_BYTES:
        raise bad(
            f'input "text": value {position} has {len(text)} bytes, at most {MAXIMUM_TEXT_BYTES}'
        )
    try:
        text.decode()
    except UnicodeDecodeError as error:
        raise bad(f'input "text": value {position} is not UTF-8: {error.reason}') from None
