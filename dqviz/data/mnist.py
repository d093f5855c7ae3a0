"""MNIST (LeCun et al. 1998) as graphs of superpixels: what an image looks like to a graph network.

SLIC (Achanta et al. 2012) cuts an image into at most 75 superpixels (compactness 0.25); each points to its 8 nearest by
centroid, so in-degree is how often a superpixel is near others. Segments, compactness and neighbours are those of the
benchmark that Degree-Quant's authors took their superpixels from (Dwivedi et al. 2020, arXiv 2003.00982).
"""

from __future__ import annotations

import gzip
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
from pydantic import Field

from dqviz.data.arrays import Array, Arrays, remembered
from dqviz.data.fetch import fetch, raw_folder
from dqviz.data.task import Task, graph_task
from dqviz.data.tudataset import cut
from dqviz.errors import BadInput
from dqviz.registry import Settings

FILES = ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz", "t10k-images-idx3-ubyte.gz",
         "t10k-labels-idx1-ubyte.gz")  # fmt: skip
URL = "https://ossci-datasets.s3.amazonaws.com/mnist"
SIDE, CLASSES, BRIGHTEST = 28, 10, 255
SEGMENTS, COMPACTNESS, NEIGHBOURS = 75, 0.25, 8
VAL_PER_CLASS, TEST_PER_CLASS = 50, 100
HEADER_BYTES = {2051: 16, 2049: 8}  # IDX files of images and of labels


class SuperpixelSettings(Settings):
    train_per_class: int = Field(
        default=100, ge=1, le=5_000, description="Training images of each class; the full set has about 6,000."
    )


def superpixels(settings: SuperpixelSettings, _seed: int) -> Task:
    """A subset: the first images of each class, 50 for validation, then those for training; 100 of the test images.

    x = (mean intensity, row, column of the centroid), all in 0..1. Raises BadInput for files that are not MNIST's.
    """
    raw = raw_folder("mnist", "MNIST", FILES, download)
    count = settings.train_per_class
    arrays = remembered(f"mnist-{count}", [raw / name for name in FILES], lambda: read(raw, count))
    size = {"train": count * CLASSES, "val": VAL_PER_CLASS * CLASSES, "test": TEST_PER_CLASS * CLASSES}
    ends = np.cumsum(list(size.values()))
    splits = {part: np.arange(end - size[part], end) for part, end in zip(size, ends, strict=True)}
    task = graph_task("mnist", cut(arrays, arrays["x"]), arrays["y"], splits)
    counts = f"{size['train']:,} images to train, {size['val']:,} to validate, {size['test']:,} to test"
    return replace(task, notes=(f"A subset of MNIST: {counts}, the same number of each class.",))


def download(to: Path) -> None:
    for name in FILES:
        fetch(f"{URL}/{name}", to / name)


def read(raw: Path, train_per_class: int) -> Arrays:
    """All graphs in one, as `tudataset.read` gives them, with 'x' [num_nodes, 3]: training, validation, then test."""
    first = [idx(raw / name) for name in FILES]
    val = of_each_class(first[1], 0, VAL_PER_CLASS)
    train = of_each_class(first[1], VAL_PER_CLASS, train_per_class)
    test = of_each_class(first[3], 0, TEST_PER_CLASS)
    images = np.concatenate([first[0][train], first[0][val], first[2][test]])
    parts = [graph_of(image) for image in images]
    nodes, edges = ([len(x) for x, _ in parts], [ends.shape[1] for _, ends in parts])
    return {
        "x": np.concatenate([x for x, _ in parts]),
        "edge_index": np.concatenate([ends for _, ends in parts], axis=1),
        "node_ptr": np.concatenate([[0], np.cumsum(nodes)]),
        "edge_ptr": np.concatenate([[0], np.cumsum(edges)]),
        "y": np.concatenate([first[1][train], first[1][val], first[3][test]]).astype(np.int64),
    }


def idx(path: Path) -> Array:
    """Bytes of an IDX file: images [n, 28, 28] or labels [n]. Raises BadInput when it is something else."""
    try:
        content = gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise BadInput(f"{path.name} is not a gzip file: replace it.") from error
    magic, count = (int(value) for value in np.frombuffer(content[:8].ljust(8, b"\0"), dtype=">u4"))
    shape = (count, SIDE, SIDE) if magic == 2051 else (count,)
    values = np.frombuffer(content[HEADER_BYTES.get(magic, 0) :], dtype=np.uint8)
    if magic not in HEADER_BYTES or values.size != np.prod(shape):
        raise BadInput(f"{path.name} is not a file of MNIST: replace it.")
    return values.reshape(shape)


def of_each_class(labels: Array, start: int, count: int) -> Array:
    """Positions of images `start` to `start + count` of every class, in the order of the file."""
    found = [np.flatnonzero(labels == label)[start : start + count] for label in range(CLASSES)]
    return np.sort(np.concatenate(found))


def graph_of(image: Array) -> tuple[Array, Array]:
    """image [28, 28] uint8 -> x [num_nodes, 3] float32, edges [2, num_nodes * 8] (fewer nodes, fewer neighbours)."""
    from skimage.segmentation import slic

    pixels = image / BRIGHTEST
    segment = slic(pixels, n_segments=SEGMENTS, compactness=COMPACTNESS, start_label=0, channel_axis=None).ravel()
    segment = np.unique(segment, return_inverse=True)[1].ravel()
    count = np.bincount(segment)
    row, column = np.divmod(np.arange(SIDE * SIDE), SIDE)
    values = (pixels.ravel(), row / (SIDE - 1), column / (SIDE - 1))
    x = np.stack([np.bincount(segment, weights=value) / count for value in values], axis=1)
    return x.astype(np.float32), nearest(x[:, 1:], min(NEIGHBOURS, len(x) - 1))


def nearest(place: Array, k: int) -> Array:
    """Edges [2, num_nodes * k] from each node to its k nearest; of equally near ones to the first."""
    square = ((place[:, None] - place) ** 2).sum(axis=2).round(9)  # rounding of sums must not decide a tie
    np.fill_diagonal(square, np.inf)
    target = np.sort(np.argsort(square, axis=1, kind="stable")[:, :k], axis=1)
    return np.stack([np.repeat(np.arange(len(place)), k), target.ravel()])
