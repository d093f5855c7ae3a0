"""Whether the raw files of a published data set are whole: one that was cut off may still be read, to fewer edges."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

from dqviz.data.arrays import Arrays
from dqviz.data.stats import STATS
from dqviz.errors import BadInput

DAMAGE = (ValueError, LookupError, OSError, EOFError, zipfile.BadZipFile, zlib.error)
"""What readers of text, zip and gzip raise on other bytes than they were written for."""


def whole(name: str, raw: Path, read: Callable[[], Arrays]) -> Arrays:
    """What `read` makes of the files in `raw`.

    Raises BadInput where it fails, or where their counts of nodes (graphs, in a graph task) and edges are not the
    published ones (`STATS`).
    """
    try:
        arrays = read()
        held, published = (len(arrays["y"]), arrays["edge_index"].shape[1]), STATS[name][:2]
        if held != published:
            raise ValueError(
                "they hold {:,} rows and {:,} edges, published are {:,} and {:,}".format(*held, *published)
            )
    except DAMAGE as error:
        raise damaged(name, raw, error) from error
    return arrays


def damaged(name: str, raw: Path, error: Exception) -> BadInput:
    reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    return BadInput(f"The files of {name!r} in {raw} are damaged ({reason}): replace them.")
