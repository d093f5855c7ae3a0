"""MNIST superpixels: files that are none, which images are taken, and edges by hand."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from dqviz.data import mnist
from dqviz.errors import BadInput


def idx(magic: int, shape: tuple[int, ...], values: bytes) -> bytes:
    head = np.array([magic, *shape], dtype=">u4").tobytes()
    return gzip.compress(head + values, mtime=0)


def test_a_file_is_read_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "images.gz"
    values = np.arange(2 * 28 * 28) % 251
    path.write_bytes(idx(2051, (2, 28, 28), values.astype(np.uint8).tobytes()))
    assert np.array_equal(mnist.idx(path).ravel(), values)
    path.write_bytes(idx(2049, (3,), b"\x07\x01\x02"))
    assert mnist.idx(path).tolist() == [7, 1, 2]


@pytest.mark.parametrize(
    "content",
    [b"", b"no gzip", gzip.compress(b"", mtime=0), gzip.compress(b"\x00" * 4, mtime=0), idx(2049, (4,), b"\x01"),
     idx(2050, (1,), b"\x01"), idx(2051, (2**31,), b""), idx(2049, (1,), b"\x01")[:-9]],
)  # fmt: skip
def test_a_file_that_is_no_mnist_is_one_sentence(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.gz"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=r"^x\.gz is not a (gzip file|file of MNIST): replace it\.$"):
        mnist.idx(path)


def test_the_first_images_of_each_class() -> None:
    labels = np.tile(np.arange(10), 5)
    assert mnist.of_each_class(labels, 1, 2).tolist() == list(range(10, 30))


def test_edges_by_hand() -> None:
    place = np.array([[0.0, 0], [0, 1], [0, 2], [0, 4]])
    assert mnist.nearest(place, 1).tolist() == [[0, 1, 2, 3], [1, 0, 1, 2]], "equally near: the first"
    assert mnist.nearest(place, 2).tolist() == [[0, 0, 1, 1, 2, 2, 3, 3], [1, 2, 0, 2, 0, 1, 1, 2]]


def test_an_image_becomes_a_graph() -> None:
    image = np.zeros((28, 28), dtype=np.uint8)
    image[4:24, 12:16] = 255
    x, edges = mnist.graph_of(image)
    assert x.shape[1] == 3
    assert 20 < len(x) <= 100
    assert x.min() >= 0
    assert x.max() <= 1
    assert edges.shape == (2, 8 * len(x))
    assert np.bincount(edges[0]).tolist() == [8] * len(x)
    assert not (edges[0] == edges[1]).any()
    bright = x[x[:, 0] > 0.9]
    assert len(bright), "superpixels follow the stroke"
    assert np.all((bright[:, 2] > 11 / 27) & (bright[:, 2] < 16 / 27))
    again, same = mnist.graph_of(image)
    assert np.array_equal(x, again)
    assert np.array_equal(edges, same)


def test_a_blank_image_is_a_graph_too() -> None:
    x, edges = mnist.graph_of(np.zeros((28, 28), dtype=np.uint8))
    assert len(x) >= 1
    assert edges.max(initial=0) < len(x)
