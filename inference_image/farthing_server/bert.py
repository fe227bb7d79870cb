"""The BERT encoder as a sentence-embedding model, in torch; the only module that imports it.

Devlin et al. 2019 (post-layer-norm blocks, learned positions, exact GELU), the mean over the tokens
of a text, and optionally its projection to length 1. Queries, keys and values are one
multiplication.
"""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

import safetensors
import safetensors.torch
import torch
from torch.nn import functional

from farthing_server.errors import ComputeError, ModelError
from farthing_server.model_files import BertConfig, ModelFiles

DTYPES = {"Float32": torch.float32, "BFloat16": torch.bfloat16}


class _Weights:
    """Named tensors with the shapes that the configuration promises."""

    def __init__(
        self, paths: Sequence[pathlib.Path], dtype: torch.dtype, device: torch.device
    ) -> None:
        self._dtype = dtype
        self._device = device
        self._tensors: dict[str, torch.Tensor] = {}
        for path in paths:
            try:
                self._tensors.update(safetensors.torch.load_file(path))
            except (OSError, safetensors.SafetensorError) as error:
                raise ModelError(f"{path} cannot be read: {error}") from None

    def take(self, name: str, *shape: int) -> torch.Tensor:
        tensor = self._tensors.get(name)
        if tensor is None:
            tensor = self._tensors.get(f"bert.{name}")
        if tensor is None:
            raise ModelError(f"the weights have no tensor {name}")
        if tuple(tensor.shape) != shape:
            raise ModelError(f"tensor {name} has shape {tuple(tensor.shape)}, config says {shape}")
        return tensor.to(self._device, self._dtype)

    def linear(self, name: str, inputs: int, outputs: int) -> tuple[torch.Tensor, torch.Tensor]:
        return self.take(f"{name}.weight", outputs, inputs), self.take(f"{name}.bias", outputs)

    def norm(self, name: str, width: int) -> tuple[torch.Tensor, torch.Tensor]:
        return self.take(f"{name}.weight", width), self.take(f"{name}.bias", width)


class _Layer:
    def __init__(self, weights: _Weights, prefix: str, config: BertConfig) -> None:
        width, inner = config.hidden_size, config.intermediate_size
        parts = [
            weights.linear(f"{prefix}.attention.self.{part}", width, width)
            for part in ("query", "key", "value")
        ]
        self._qkv = (
            torch.cat([weight for weight, _ in parts]),
            torch.cat([bias for _, bias in parts]),
        )
        self._attended = weights.linear(f"{prefix}.attention.output.dense", width, width)
        self._attended_norm = weights.norm(f"{prefix}.attention.output.LayerNorm", width)
        self._up = weights.linear(f"{prefix}.intermediate.dense", width, inner)
        self._down = weights.linear(f"{prefix}.output.dense", inner, width)
        self._norm = weights.norm(f"{prefix}.output.LayerNorm", width)
        self._heads = config.num_attention_heads
        self._epsilon = config.layer_norm_eps

    def __call__(self, hidden: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        texts, tokens, width = hidden.shape
        split = (texts, tokens, 3, self._heads, width // self._heads)
        query, key, value = (
            functional.linear(hidden, *self._qkv).view(split).permute(2, 0, 3, 1, 4).unbind()
        )
        attended = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        attended = attended.transpose(1, 2).reshape(texts, tokens, width)
        hidden = functional.layer_norm(
            hidden + functional.linear(attended, *self._attended),
            (width,),
            *self._attended_norm,
            self._epsilon,
        )
        inner = functional.gelu(functional.linear(hidden, *self._up))
        return functional.layer_norm(
            hidden + functional.linear(inner, *self._down), (width,), *self._norm, self._epsilon
        )


class BertEmbedder:
    """Token numbers of some texts in, one vector per text out."""

    def __init__(self, files: ModelFiles, precision: str, threads: int) -> None:
        torch.set_num_threads(threads)
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        weights = _Weights(files.weights, DTYPES[precision], self._device)
        config = files.config
        width = config.hidden_size
        self._words = weights.take("embeddings.word_embeddings.weight", config.vocab_size, width)
        positions = weights.take(
            "embeddings.position_embeddings.weight", config.max_position_embeddings, width
        )
        kinds = weights.take(
            "embeddings.token_type_embeddings.weight", config.type_vocab_size, width
        )
        self._places = positions + kinds[0]  # a text alone is always of the first kind
        self._norm = weights.norm("embeddings.LayerNorm", width)
        self._layers = [
            _Layer(weights, f"encoder.layer.{number}", config)
            for number in range(config.num_hidden_layers)
        ]
        self._config = config
        self._normalize = files.normalize

    @property
    def device(self) -> str:
        return str(self._device.type)

    def embed(self, texts: Sequence[Sequence[int]]) -> list[bytes]:
        """One row of little-endian FP32 per text. Raises ComputeError."""
        try:
            with torch.inference_mode():
                rows = self._embed(texts).numpy(force=True).astype("<f4", copy=False)
        except (RuntimeError, MemoryError) as error:
            raise ComputeError(str(error).splitlines()[0]) from error
        return [row.tobytes() for row in rows]

    def _embed(self, texts: Sequence[Sequence[int]]) -> torch.Tensor:
        longest = max(len(text) for text in texts)
        padding = self._config.pad_token_id
        tokens = torch.tensor(
            [[*text, *([padding] * (longest - len(text)))] for text in texts], device=self._device
        )
        lengths = torch.tensor([len(text) for text in texts], device=self._device)
        present = torch.arange(longest, device=self._device) < lengths[:, None]
        padded = any(len(text) != longest for text in texts)
        mask = present[:, None, None, :] if padded else None
        width = self._config.hidden_size
        hidden = functional.layer_norm(
            self._words[tokens] + self._places[:longest],
            (width,),
            *self._norm,
            self._config.layer_norm_eps,
        )
        for layer in self._layers:
            hidden = layer(hidden, mask)
        sums = (hidden.float() * present[:, :, None]).sum(dim=1)
        means = sums / lengths[:, None]
        return functional.normalize(means) if self._normalize else means
