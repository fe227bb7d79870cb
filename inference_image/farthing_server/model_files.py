"""A model's folder, read as values: what it says about itself, checked before any weight is loaded.

Weights come from *.safetensors only. Formats that can run code while they are read (pickle: .bin,
.pt, .pth, .ckpt) are not opened under any setting.
"""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any

import orjson

from farthing_server.errors import ModelError

ARCHITECTURES = ("BertModel",)
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
DEFAULT_SEQUENCE_TOKENS = 256


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class BertConfig:
    hidden_size: int
    intermediate_size: int
    num_attention_heads: int
    num_hidden_layers: int
    max_position_embeddings: int
    type_vocab_size: int
    vocab_size: int
    layer_norm_eps: float
    pad_token_id: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ModelFiles:
    weights: tuple[pathlib.Path, ...]
    tokenizer: pathlib.Path
    config: BertConfig
    maximum_tokens: int
    normalize: bool


def read(folder: pathlib.Path) -> ModelFiles:
    """Everything about the model but its weights. Raises ModelError."""
    config = _bert(folder / "config.json")
    tokenizer = folder / "tokenizer.json"
    if not tokenizer.is_file():
        raise ModelError(f"{tokenizer} is missing: text cannot be split into tokens without it")
    _check_pooling(folder / "1_Pooling" / "config.json")
    return ModelFiles(
        weights=_weights(folder),
        tokenizer=tokenizer,
        config=config,
        maximum_tokens=_maximum_tokens(folder / "sentence_bert_config.json", config),
        normalize=_normalize(folder / "modules.json"),
    )


def _weights(folder: pathlib.Path) -> tuple[pathlib.Path, ...]:
    weights = tuple(sorted(folder.glob("*.safetensors")))
    if weights:
        return weights
    pickles = sorted(path.name for path in folder.iterdir() if path.suffix in PICKLES)
    if pickles:
        raise ModelError(
            f"{folder} has {pickles[0]} but no *.safetensors: pickle files can run code when they "
            "are read and are never loaded; convert the weights to safetensors"
        )
    raise ModelError(f"{folder} has no *.safetensors")


def _document(path: pathlib.Path) -> Any:
    try:
        return orjson.loads(path.read_bytes())
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}") from None
    except orjson.JSONDecodeError as error:
        raise ModelError(f"{path} is not JSON: {error}") from None


def _object(path: pathlib.Path) -> dict[str, Any]:
    document = _document(path)
    if not isinstance(document, dict):
        raise ModelError(f"{path} is not a JSON object")
    return document


def _bert(path: pathlib.Path) -> BertConfig:
    document = _object(path)
    architectures = document.get("architectures")
    if not isinstance(architectures, list) or len(architectures) != 1:
        raise ModelError(f'{path}: architectures is a list of one name, e.g. ["BertModel"]')
    if architectures[0] not in ARCHITECTURES:
        raise ModelError(
            f'{path}: architecture "{architectures[0]}" is not served; '
            f"{' or '.join(ARCHITECTURES)} is"
        )
    _expect(path, document, "hidden_act", "gelu")
    _expect(path, document, "position_embedding_type", "absolute")
    sizes = {
        field: _positive(path, document, field)
        for field in (
            *("hidden_size", "intermediate_size", "num_attention_heads", "num_hidden_layers"),
            *("max_position_embeddings", "type_vocab_size", "vocab_size"),
        )
    }
    if sizes["hidden_size"] % sizes["num_attention_heads"]:
        raise ModelError(f"{path}: hidden_size is not a multiple of num_attention_heads")
    epsilon = document.get("layer_norm_eps", 1e-12)
    padding = document.get("pad_token_id", 0)
    if not isinstance(epsilon, float) or not isinstance(padding, int):
        raise ModelError(f"{path}: layer_norm_eps is a number and pad_token_id a whole number")
    return BertConfig(**sizes, layer_norm_eps=epsilon, pad_token_id=padding)


def _expect(path: pathlib.Path, document: dict[str, Any], field: str, only: str) -> None:
    if (value := document.get(field, only)) != only:
        raise ModelError(f'{path}: {field} "{value}" is not served; "{only}" is')


def _positive(path: pathlib.Path, document: dict[str, Any], field: str) -> int:
    value = document.get(field)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ModelError(f"{path}: {field}: {value!r} is not allowed; a whole number of 1 or more")
    return value


def _check_pooling(path: pathlib.Path) -> None:
    """Tokens become one vector by their mean; a model that was trained otherwise is refused."""
    if not path.is_file():
        return
    document = _object(path)
    modes = sorted(
        field for field, value in document.items() if field.startswith("pooling_mode_") and value
    )
    if modes != ["pooling_mode_mean_tokens"]:
        raise ModelError(f"{path}: pooling by {', '.join(modes)} is not served; by mean_tokens is")


def _maximum_tokens(path: pathlib.Path, config: BertConfig) -> int:
    most = config.max_position_embeddings
    if not path.is_file():
        return min(DEFAULT_SEQUENCE_TOKENS, most)
    return min(_positive(path, _object(path), "max_seq_length"), most)


def _normalize(path: pathlib.Path) -> bool:
    """Vectors get length 1 where the model says so, or says nothing."""
    if not path.is_file():
        return True
    modules = _document(path)
    if not isinstance(modules, list):
        raise ModelError(f"{path} is not a JSON list")
    kinds = [module.get("type") for module in modules if isinstance(module, dict)]
    names = [str(kind).rsplit(".", 1)[-1] for kind in kinds]
    if unknown := sorted(set(names) - {"Transformer", "Pooling", "Normalize"}):
        raise ModelError(f"{path}: the step {unknown[0]} is not served")
    return "Normalize" in names
