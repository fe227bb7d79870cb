"""The embeddings computed without the server: BERT written out in numpy, one text at a time.

Run with the serving environment's interpreter: the model's folder on the command line, texts as a
JSON list on stdin, rows as JSON on stdout. It shares no line with the server: other formulas for
the attention, no padding, 64-bit floats.
"""

import json
import math
import pathlib
import sys

import numpy as np
import safetensors.numpy
import tokenizers

folder = pathlib.Path(sys.argv[1])
config = json.loads((folder / "config.json").read_text())
w = {
    name: tensor.astype(np.float64)
    for name, tensor in safetensors.numpy.load_file(folder / "model.safetensors").items()
}
tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
tokenizer.no_padding()
tokenizer.enable_truncation(256)
erf = np.vectorize(math.erf)


def linear(x: np.ndarray, name: str) -> np.ndarray:
    return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]


def norm(x: np.ndarray, name: str) -> np.ndarray:
    centered = x - x.mean(axis=-1, keepdims=True)
    deviation = np.sqrt((centered**2).mean(axis=-1, keepdims=True) + config["layer_norm_eps"])
    return centered / deviation * w[f"{name}.weight"] + w[f"{name}.bias"]


def attention(x: np.ndarray, prefix: str) -> np.ndarray:
    width = config["hidden_size"] // config["num_attention_heads"]
    query, key, value = (linear(x, f"{prefix}.self.{part}") for part in ("query", "key", "value"))
    heads = []
    for start in range(0, config["hidden_size"], width):
        columns = slice(start, start + width)
        scores = query[:, columns] @ key[:, columns].T / math.sqrt(width)
        shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
        heads.append(shares / shares.sum(axis=-1, keepdims=True) @ value[:, columns])
    return norm(
        x + linear(np.concatenate(heads, axis=-1), f"{prefix}.output.dense"),
        f"{prefix}.output.LayerNorm",
    )


def embedding(text: str) -> list[float]:
    ids = tokenizer.encode(text).ids
    x = w["embeddings.word_embeddings.weight"][ids]
    x = x + w["embeddings.position_embeddings.weight"][: len(ids)]
    x = norm(x + w["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
    for layer in range(config["num_hidden_layers"]):
        prefix = f"encoder.layer.{layer}"
        x = attention(x, f"{prefix}.attention")
        inner = linear(x, f"{prefix}.intermediate.dense")
        inner = 0.5 * inner * (1.0 + erf(inner / math.sqrt(2.0)))
        x = norm(x + linear(inner, f"{prefix}.output.dense"), f"{prefix}.output.LayerNorm")
    mean = x.mean(axis=0)
    return (mean / np.linalg.norm(mean)).tolist()


print(json.dumps([embedding(text) for text in json.load(sys.stdin)]))
