"""Tensors as the Open Inference Protocol writes them: JSON lists, or raw little-endian bytes.

Values stay in plain Python types. Text is a list of bytes objects; numbers are an ``array``. So the
emulated runtime needs no array library, which is a third of its memory and of its start.
"""

from __future__ import annotations

import array
import dataclasses
import math
import struct
import sys
from collections.abc import Sequence
from typing import Any

from farthing_server.errors import RequestError

TYPECODES = {"FP32": "f", "INT32": "i", "INT64": "q"}
DATATYPES = ("BYTES", *TYPECODES)
MAXIMUM_DIMENSIONS = 8
MAXIMUM_ELEMENTS = 16 * 1024 * 1024
MAXIMUM_TEXTS = 65_536
_LENGTH = struct.Struct("<I")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    name: str
    datatype: str
    shape: tuple[int, ...]
    values: Sequence[bytes] | array.array[float] | array.array[int]


def bad(message: str) -> RequestError:
    return RequestError(400, message)


def elements(name: str, datatype: str, shape: Sequence[int]) -> int:
    """How many values a shape holds; refuses what would be too much work to read."""
    count = math.prod(shape)
    if datatype == "BYTES" and count > MAXIMUM_TEXTS:
        raise bad(f'input "{name}": {count} texts, at most {MAXIMUM_TEXTS}')
    if count > MAXIMUM_ELEMENTS:
        raise bad(
            f'input "{name}": shape {list(shape)} has {count} values, at most {MAXIMUM_ELEMENTS}'
        )
    return count


def from_binary(name: str, datatype: str, shape: tuple[int, ...], raw: memoryview) -> Tensor:
    count = elements(name, datatype, shape)
    if datatype == "BYTES":
        return Tensor(name=name, datatype=datatype, shape=shape, values=_texts(name, count, raw))
    values = array.array(TYPECODES[datatype])
    if len(raw) != count * values.itemsize:
        raise bad(
            f'input "{name}": shape {list(shape)} of {datatype} takes '
            f"{count * values.itemsize} bytes, binary_data_size says {len(raw)}"
        )
    values.frombytes(raw)
    if sys.byteorder == "big":
        values.byteswap()
    return Tensor(name=name, datatype=datatype, shape=shape, values=values)


def _texts(name: str, count: int, raw: memoryview) -> list[bytes]:
    """Each value is its length in four bytes, then itself."""
    if count * _LENGTH.size > len(raw):
        raise bad(f'input "{name}": {count} values cannot lie in {len(raw)} bytes')
    texts: list[bytes] = []
    at = 0
    for _ in range(count):
        if at + _LENGTH.size > len(raw):
            raise bad(f'input "{name}": the data ends before value {len(texts)} of {count}')
        (length,) = _LENGTH.unpack_from(raw, at)
        at += _LENGTH.size
        if length > len(raw) - at:
            raise bad(
                f'input "{name}": value {len(texts)} claims {length} bytes, '
                f"{len(raw) - at} are left"
            )
        texts.append(bytes(raw[at : at + length]))
        at += length
    if at != len(raw):
        raise bad(f'input "{name}": {len(raw) - at} bytes follow the last of {count} values')
    return texts


def from_json(name: str, datatype: str, shape: tuple[int, ...], data: object) -> Tensor:
    count = elements(name, datatype, shape)
    flat = _flattened(name, data)
    if len(flat) != count:
        raise bad(f'input "{name}": shape {list(shape)} holds {count} values, data has {len(flat)}')
    if datatype == "BYTES":
        return Tensor(name=name, datatype=datatype, shape=shape, values=_encoded(name, flat))
    numbers = _numbers(name, datatype, flat)
    try:
        values = array.array(TYPECODES[datatype], numbers)
    except OverflowError:
        raise bad(f'input "{name}": a value does not fit into {datatype}') from None
    return Tensor(name=name, datatype=datatype, shape=shape, values=values)


def _numbers(name: str, datatype: str, flat: list[object]) -> list[Any]:
    for position, value in enumerate(flat):
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise bad(f'input "{name}": value {position} is not a number: {_short(value)}')
        if datatype != "FP32" and not isinstance(value, int):
            raise bad(f'input "{name}": value {position} is not a whole number: {_short(value)}')
    return flat


def _flattened(name: str, data: object) -> list[object]:
    """The protocol allows flat and nested lists; nesting is undone row by row."""
    if not isinstance(data, list):
        raise bad(f'input "{name}": data is a list of values, not {_short(data)}')
    for _ in range(MAXIMUM_DIMENSIONS):
        if not any(isinstance(value, list) for value in data):
            return data
        if not all(isinstance(value, list) for value in data):
            raise bad(f'input "{name}": data mixes values and lists')
        data = [value for row in data for value in row]
    raise bad(f'input "{name}": data is nested deeper than {MAXIMUM_DIMENSIONS} lists')


def _encoded(name: str, flat: list[object]) -> list[bytes]:
    texts: list[bytes] = []
    for position, value in enumerate(flat):
        if not isinstance(value, str):
            raise bad(f'input "{name}": value {position} is not a string: {_short(value)}')
        texts.append(value.encode())
    return texts


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


def json_values(datatype: str, raw: bytes) -> list[float] | list[int]:
    """Raw little-endian numbers as the list that JSON writes."""
    values = array.array(TYPECODES[datatype])
    values.frombytes(raw)
    if sys.byteorder == "big":
        values.byteswap()
    return values.tolist()
