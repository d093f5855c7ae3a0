"""safetensors, read by hand: its header is JSON, its body plain numbers, so nothing in it can run."""

from __future__ import annotations

import json
from typing import Any, TypeGuard

import numpy as np

from dqviz.data.arrays import Arrays
from dqviz.data.upload.declared import Declared, check_name, check_sizes
from dqviz.errors import BadInput

LONGEST_HEADER = 100_000
TYPES = {"BOOL": "|b1", "U8": "|u1", "I8": "|i1", "U16": "<u2", "I16": "<i2", "U32": "<u4", "I32": "<i4",
         "U64": "<u8", "I64": "<i8", "F16": "<f2", "F32": "<f4", "F64": "<f8"}  # fmt: skip


def read_safetensors(content: bytes) -> Arrays:
    """Tensors of the file by name. Raises BadInput in one sentence."""
    size = int.from_bytes(content[:8], "little")
    if len(content) < 8 or size > min(LONGEST_HEADER, len(content) - 8):
        raise BadInput("The .safetensors file is damaged: its header does not fit.")
    body = content[8 + size :]
    entries = {name: entry for name, entry in header(content[8 : 8 + size]).items() if name != "__metadata__"}
    declared = [declare(check_name(name), entry) for name, entry in entries.items()]
    check_sizes(declared)
    return {array.name: array.array(cut(array, entries[array.name], body)) for array in declared}


def header(text: bytes) -> dict[str, Any]:
    try:
        entries = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadInput("The .safetensors file is damaged: its header is not JSON.") from error
    if not isinstance(entries, dict):
        raise BadInput("The .safetensors file is damaged: its header is not a table of tensors.")
    return entries


def declare(name: str, entry: Any) -> Declared:
    kind, shape = (entry.get("dtype"), entry.get("shape")) if isinstance(entry, dict) else (None, None)
    if not isinstance(kind, str) or kind not in TYPES:
        raise BadInput(f"{name} has a type that is not read; choose one of {', '.join(TYPES)}.")
    if not whole_numbers(shape):
        raise BadInput(f"{name} has no valid shape.")
    return Declared(name, np.dtype(TYPES[kind]), tuple(shape))


def cut(array: Declared, entry: dict[str, Any], body: bytes) -> bytes:
    """The tensor's bytes, which must be exactly as many as type and shape need."""
    offsets = entry.get("data_offsets")
    if not whole_numbers(offsets) or len(offsets) != 2 or offsets[1] > len(body):
        raise BadInput(f"{array.name} is damaged: it lies outside the file.")
    if offsets[1] - offsets[0] != array.size_bytes:
        raise BadInput(f"{array.name} is damaged: type and shape do not fit its number of bytes.")
    return body[offsets[0] : offsets[1]]


def whole_numbers(value: object) -> TypeGuard[list[int]]:
    return isinstance(value, list) and all(type(item) is int and item >= 0 for item in value)
