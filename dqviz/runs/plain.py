"""JSON that any reader accepts: no NaN, no infinity, no numpy scalars."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any


def clean(value: Any) -> Any:
    """`value` in plain JSON types; NaN and infinity become null."""
    if value is None or type(value) in (bool, int, str):
        return value
    if isinstance(value, int | str):  # a member of an IntEnum or StrEnum
        return str(value) if isinstance(value, str) else int(value)
    if isinstance(value, Mapping):
        return {str(key): clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [clean(item) for item in value]
    if isinstance(value, PurePath):
        return str(value)
    if hasattr(value, "tolist"):  # numpy scalars and arrays
        return clean(value.tolist())
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def dumps(value: Any, indent: int | None = None) -> str:
    return json.dumps(clean(value), indent=indent, allow_nan=False, ensure_ascii=False)
