"""What a model is to the server: typed inputs and outputs, and a way to compute one batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from farthing_server.protocol import InferRequest, Output, TensorSpec

VERSION = "1"


class Model(Protocol):
    """An item is one row of a request, as bytes; so is its row of output."""

    @property
    def platform(self) -> str: ...

    @property
    def inputs(self) -> tuple[TensorSpec, ...]: ...

    @property
    def outputs(self) -> tuple[TensorSpec, ...]: ...

    async def load(self) -> None:
        """Bring the model to where it can compute. Raises ModelError."""
        ...

    def items(self, request: InferRequest) -> Sequence[bytes]:
        """The rows of a request. Raises RequestError(400) that says what the model takes."""
        ...

    def samples(self, count: int) -> Sequence[bytes]:
        """Rows of an ordinary size, to warm up with."""
        ...

    def known_batch_s(self, size: int) -> float | None:
        """How long a batch takes, where that is known without running one."""
        ...

    async def compute(self, items: Sequence[bytes]) -> list[bytes]:
        """One row of output per item. Raises ComputeError."""
        ...

    def output(self, rows: Sequence[bytes]) -> list[Output]:
        """The rows of one request as its output tensors."""
        ...

    def close(self) -> None:
        """Give back threads; no batch is running any more."""
        ...
