"""The Open Inference Protocol v2 over HTTP: one request body in, one response body out.

With the binary tensor extension a body is a JSON header, whose length the header
Inference-Header-Content-Length gives, followed by the raw tensors in the order of the header.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, cast

import orjson

from farthing_server import tensors
from farthing_server.tensors import Tensor, bad

MAXIMUM_INPUTS = 16
MAXIMUM_NAME_LENGTH = 256
HEADER_LENGTH = "inference-header-content-length"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RequestedOutput:
    name: str
    binary: bool


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class InferRequest:
    identifier: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[RequestedOutput, ...] | None  # None: every output of the model
    binary_by_default: bool


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TensorSpec:
    """One input or output of a model; -1 in the shape is any size."""

    name: str
    datatype: str
    shape: tuple[int, ...]

    def document(self) -> dict[str, object]:
        return {"name": self.name, "datatype": self.datatype, "shape": list(self.shape)}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """A computed tensor; `raw` is little-endian."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    raw: bytes


def decode(body: bytes, header_length: str | None) -> InferRequest:
    """Read one request; every way in which it can be malformed is a 400 that says where."""
    length = _header_length(header_length, len(body))
    try:
        document = orjson.loads(memoryview(body)[:length])
    except orjson.JSONDecodeError as error:
        raise bad(f"the body is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise bad("the body is not a JSON object")
    parameters = _parameters("the request", document)
    binary = memoryview(body)[length:]
    return InferRequest(
        identifier=_text("id", document.get("id", "")),
        inputs=_inputs(document.get("inputs"), binary),
        outputs=_outputs(document.get("outputs"), _flag(parameters, "binary_data_output")),
        binary_by_default=_flag(parameters, "binary_data_output"),
    )


def _header_length(value: str | None, body_length: int) -> int:
    if value is None:
        return body_length
    if not (value.isascii() and value.isdigit() and len(value) <= 10):
        raise bad(f"{HEADER_LENGTH}: {value[:40]!r} is not a number of bytes")
    if int(value) > body_length:
        raise bad(f"{HEADER_LENGTH}: {value} bytes, but the body has {body_length}")
    return int(value)


def _parameters(owner: str, document: dict[str, Any]) -> dict[str, Any]:
    parameters = document.get("parameters", {})
    if not isinstance(parameters, dict):
        raise bad(f"{owner}: parameters is not an object")
    return cast(dict[str, Any], parameters)


def _flag(parameters: dict[str, Any], name: str) -> bool:
    value = parameters.get(name, False)
    if not isinstance(value, bool):
        raise bad(f"parameter {name} is true or false")
    return value


def _text(field: str, value: object) -> str:
    if not isinstance(value, str) or len(value) > MAXIMUM_NAME_LENGTH:
        raise bad(f"{field} is a string of at most {MAXIMUM_NAME_LENGTH} characters")
    return value


def _inputs(documents: object, binary: memoryview) -> tuple[Tensor, ...]:
    if not isinstance(documents, list) or not 1 <= len(documents) <= MAXIMUM_INPUTS:
        raise bad(f"inputs is a list of 1 to {MAXIMUM_INPUTS} tensors")
    inputs: list[Tensor] = []
    at = 0
    for document in documents:
        if not isinstance(document, dict):
            raise bad("inputs: a tensor is an object")
        name = _text("inputs: name", document.get("name"))
        if any(name == earlier.name for earlier in inputs):
            raise bad(f'input "{name}" is given twice')
        size = _parameters(f'input "{name}"', document).get("binary_data_size")
        raw = None if size is None else binary[at : at + _size(name, size, len(binary) - at)]
        at += 0 if raw is None else len(raw)
        inputs.append(_input(name, document, raw))
    if at != len(binary):
        raise bad(f"{len(binary) - at} bytes follow the last input")
    return tuple(inputs)


def _size(name: str, value: object, left: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= left:
        raise bad(
            f'input "{name}": binary_data_size is a number of bytes, {left} are left in the body'
        )
    return value


def _input(name: str, document: dict[str, Any], raw: memoryview | None) -> Tensor:
    datatype = document.get("datatype")
    if datatype not in tensors.DATATYPES:
        raise bad(f'input "{name}": datatype is one of {", ".join(tensors.DATATYPES)}')
    shape = _shape(name, document.get("shape"))
    if raw is None:
        return tensors.from_json(name, datatype, shape, document.get("data"))
    if "data" in document:
        raise bad(f'input "{name}": has both data and binary_data_size')
    return tensors.from_binary(name, datatype, shape, raw)


def _shape(name: str, value: object) -> tuple[int, ...]:
    if not isinstance(value, list) or not 1 <= len(value) <= tensors.MAXIMUM_DIMENSIONS:
        raise bad(f'input "{name}": shape is a list of 1 to {tensors.MAXIMUM_DIMENSIONS} sizes')
    for size in value:
        if isinstance(size, bool) or not isinstance(size, int) or size < 0:
            raise bad(f'input "{name}": a size in shape is a whole number of 0 or more')
    return tuple(value)


def _outputs(documents: object, binary_by_default: bool) -> tuple[RequestedOutput, ...] | None:
    if documents is None or documents == []:
        return None
    if not isinstance(documents, list) or len(documents) > MAXIMUM_INPUTS:
        raise bad(f"outputs is a list of at most {MAXIMUM_INPUTS} tensors")
    outputs: list[RequestedOutput] = []
    for document in documents:
        if not isinstance(document, dict):
            raise bad("outputs: a tensor is an object")
        name = _text("outputs: name", document.get("name"))
        parameters = _parameters(f'output "{name}"', document)
        if parameters.get("classification", 0) != 0:
            raise bad(f'output "{name}": classification is not supported')
        binary = (
            _flag(parameters, "binary_data") if "binary_data" in parameters else binary_by_default
        )
        outputs.append(RequestedOutput(name=name, binary=binary))
    return tuple(outputs)


def check_outputs(request: InferRequest, specs: Sequence[TensorSpec]) -> None:
    """Refuse an output that the model does not have, before anything is computed."""
    known = [spec.name for spec in specs]
    for output in request.outputs or ():
        if output.name not in known:
            raise bad(f'output "{output.name}": the model has {", ".join(known)}')


def encode(
    request: InferRequest, model: str, version: str, outputs: Sequence[Output]
) -> tuple[bytes, int | None]:
    """The response body, and the length of its JSON header when raw tensors follow it."""
    documents: list[dict[str, object]] = []
    raw: list[bytes] = []
    for output, binary in _wanted(request, outputs):
        document: dict[str, object] = {
            "name": output.name,
            "datatype": output.datatype,
            "shape": list(output.shape),
        }
        if binary:
            document["parameters"] = {"binary_data_size": len(output.raw)}
            raw.append(output.raw)
        else:
            document["data"] = tensors.json_values(output.datatype, output.raw)
        documents.append(document)
    head: dict[str, object] = {"model_name": model, "model_version": version}
    if request.identifier:
        head["id"] = request.identifier
    header = orjson.dumps({**head, "outputs": documents})
    if not raw:
        return header, None
    return b"".join((header, *raw)), len(header)


def _wanted(request: InferRequest, outputs: Sequence[Output]) -> list[tuple[Output, bool]]:
    if request.outputs is None:
        return [(output, request.binary_by_default) for output in outputs]
    by_name = {output.name: output for output in outputs}
    return [(by_name[wanted.name], wanted.binary) for wanted in request.outputs]
