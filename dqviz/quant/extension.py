"""Optional C extensions: the library that the set-up command has built, or why there is none."""

from __future__ import annotations

import ctypes
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path


def built_library(folder: Path, stem: str, what: str) -> ctypes.CDLL | str:
    """The library `stem` in `folder`, or the reason why there is none, in words that begin with `what`."""
    found = [path for suffix in EXTENSION_SUFFIXES if (path := folder / f"{stem}{suffix}").exists()]
    if not found:
        return f"{what}: not built (no compiler)"
    try:
        return ctypes.CDLL(str(found[0]))
    except OSError as error:
        return f"{what}: built, but not loaded ({error})"
