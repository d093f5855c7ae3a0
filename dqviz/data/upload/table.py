"""Two CSV files with a header line each: `source,target`, and `y` with the features.

Row i of the features file is node i. Its columns: `y` (the class), optionally `node` (must count 0, 1, 2, ...) and
`train_mask`, `val_mask`, `test_mask` (0 or 1); every other column is a feature.
"""

from __future__ import annotations

import io
import re
import warnings

import numpy as np

from dqviz.data.arrays import Array, Arrays
from dqviz.data.upload.declared import check_total
from dqviz.errors import BadInput

LONGEST_HEADER = 2_000_000
EDGES = ["source", "target"]
SPECIAL = ("y", "train_mask", "val_mask", "test_mask")
PLACE = re.compile(r"'(.{0,40}).*' to \w+ at row (\d+), column (\d+)")


def read_tables(contents: list[bytes]) -> Arrays:
    """Arrays of an edge list and a features file, in either order. Raises BadInput in one sentence."""
    headers = [header(content) for content in contents]
    found = [names == EDGES for names in headers]
    if sum(found) != 1:
        raise BadInput("One .csv must begin with the line source,target (the edges), the other with y and features.")
    edges = found.index(True)
    edge_index = numbers("edge list", contents[edges], EDGES, np.dtype(np.int64)).T
    names = headers[1 - edges]
    if "y" not in names:
        raise BadInput("The features file has no column y: every node needs a class.")
    table = numbers("features file", contents[1 - edges], names, np.dtype(np.float32))
    return {"edge_index": edge_index} | columns(names, table)


def header(content: bytes) -> list[str]:
    """Column names of the first line, in lower case."""
    line = content[:LONGEST_HEADER].split(b"\n", 1)[0]
    try:
        names = [name.strip().strip('"').strip().lower() for name in line.decode("utf-8-sig").split(",")]
    except UnicodeDecodeError as error:
        raise BadInput("A .csv file is not UTF-8 text.") from error
    if len(set(names)) < len(names):
        raise BadInput("A .csv file names a column twice in its first line.")
    return names


def numbers(what: str, content: bytes, names: list[str], dtype: np.dtype[np.generic]) -> Array:
    """All rows under the header [rows, columns]. Raises BadInput that says where a number is missing."""
    rows = content.count(b"\n") + 1
    check_total(rows * len(names) * dtype.itemsize)
    lines = io.TextIOWrapper(io.BytesIO(content), encoding="utf-8-sig")
    try:
        lines.readline()
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # numpy only warns about an empty file and about 1.5 read as a whole number
            table: Array = np.loadtxt(lines, dtype=dtype, delimiter=",", comments=None, ndmin=2)
    except (ValueError, OverflowError, Warning) as error:
        raise BadInput(f"The {what} cannot be read{where(error)}.") from error
    if table.shape[1] != len(names):
        raise BadInput(f"The {what} has {len(names)} columns in its first line, but {table.shape[1]} in the others.")
    return table


def where(error: Exception) -> str:
    """': ...' with the place that numpy names, if it does."""
    if found := PLACE.search(str(error) or ""):
        return f": {found[1]!r} in line {int(found[2]) + 2}, column {found[3]}, is not a number that fits"
    if "number of columns" in str(error):
        return ": its lines do not all have the same number of columns"
    if "no data" in str(error):
        return ": it has no lines under the first"
    return ": it must hold numbers only, whole ones for nodes"


def columns(names: list[str], table: Array) -> Arrays:
    """Special columns by name, all others together as x."""
    arrays = {name: table[:, names.index(name)] for name in SPECIAL if name in names}
    if "node" in names and not np.array_equal(table[:, names.index("node")], np.arange(len(table))):
        raise BadInput("The column node of the features file must count 0, 1, 2, ... line by line.")
    features = [i for i, name in enumerate(names) if name not in (*SPECIAL, "node")]
    return arrays | {"x": table[:, features]}
