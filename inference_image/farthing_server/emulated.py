"""A model that waits instead of computing: the latencies of a profile, without its hardware.

It takes the same requests, forms the same batches and reports the same metrics as a real one, and
costs a timer per batch, so twenty "GPU" replicas fit on a laptop.
"""

from __future__ import annotations

import array
import asyncio
import struct
import zlib
from collections.abc import Sequence

from farthing_server.profile import Profile
from farthing_server.protocol import InferRequest, Output, TensorSpec
from farthing_server.tensors import bad

WIDTH = 4
_ROW = struct.Struct(f"<{WIDTH}f")


class EmulatedModel:
    platform = "farthing_emulated"
    inputs = (
        TensorSpec(name="text", datatype="BYTES", shape=(-1,)),
        TensorSpec(name="features", datatype="FP32", shape=(-1, -1)),
    )
    outputs = (TensorSpec(name="embedding", datatype="FP32", shape=(-1, WIDTH)),)

    def __init__(self, profile: Profile) -> None:
        self._profile = profile

    async def load(self) -> None:
        await asyncio.sleep(self._profile.startup_s)

    def items(self, request: InferRequest) -> Sequence[bytes]:
        """Rows of `text` [n] or [n, 1], or of `features` [n, k]; one of the two."""
        if len(request.inputs) != 1:
            raise bad("the emulated model takes one input: text or features")
        tensor = request.inputs[0]
        if tensor.name == "text":
            if tensor.datatype != "BYTES" or tensor.shape[1:] not in ((), (1,)):
                raise bad('input "text": BYTES of shape [n] or [n, 1]')
            return [bytes(text) for text in tensor.values if isinstance(text, bytes)]
        if tensor.name != "features":
            raise bad(f'input "{tensor.name}": the emulated model has text and features')
        if not isinstance(tensor.values, array.array) or len(tensor.shape) != 2:
            raise bad('input "features": FP32, INT32 or INT64 of shape [n, k]')
        raw = tensor.values.tobytes()
        rows = tensor.shape[0]
        width = len(raw) // rows if rows else 0
        return [raw[row * width : (row + 1) * width] for row in range(rows)]

    def samples(self, count: int) -> Sequence[bytes]:
        return [b"warm up"] * count

    def known_batch_s(self, size: int) -> float:
        return self._profile.batch_s(size)

    async def compute(self, items: Sequence[bytes]) -> list[bytes]:
        await asyncio.sleep(self._profile.batch_s(len(items)))
        return [embedded(item) for item in items]

    def output(self, rows: Sequence[bytes]) -> list[Output]:
        return [
            Output(name="embedding", datatype="FP32", shape=(len(rows), WIDTH), raw=b"".join(rows))
        ]

    def close(self) -> None:
        return None


def embedded(item: bytes) -> bytes:
    """Four numbers from 0 to 1 that depend on the item alone: the bytes of its CRC-32, over 256."""
    checksum = zlib.crc32(item)
    return _ROW.pack(*(((checksum >> shift) & 0xFF) / 256 for shift in (0, 8, 16, 24)))
