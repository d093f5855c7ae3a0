"""Good uploads: what goes in comes out, in every format, and what was decided is said."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

import dqviz
from dqviz.data import load
from dqviz.data.upload import parse
from dqviz.errors import BadInput
from dqviz.runs.uploads import accept, inert, uploads
from tests.data.data_files import csv, graph, npz, safetensors


@pytest.mark.parametrize("write", [npz, safetensors, csv])
def test_an_upload_loads_as_it_was(write, home: Path) -> None:  # type: ignore[no-untyped-def]
    given_graph = graph()
    result = accept(write(given_graph), "My graph")
    task = load(result.name)
    data = task.graphs[0]
    assert torch.equal(data.x, torch.from_numpy(given_graph["x"]))
    assert torch.equal(data.y, torch.from_numpy(given_graph["y"]))
    pairs = {tuple(edge) for edge in given_graph["edge_index"].T.tolist()}
    assert {tuple(edge) for edge in data.edge_index.t().tolist()} == pairs
    for part in ("train", "val", "test"):
        assert torch.equal(task.splits[part], torch.from_numpy(given_graph[f"{part}_mask"]))
    assert result.notes == task.notes == ()
    assert {name: getattr(task.facts, name) for name in ("nodes", "edges", "features", "classes", "max_in_degree")} == {
        name: result.facts[name] for name in ("nodes", "edges", "features", "classes", "max_in_degree")
    }


def test_sparse_features_stay_sparse(home: Path) -> None:
    given_graph = graph()
    given_graph["x"] = np.eye(len(given_graph["y"]), dtype=np.float32)
    task = load(accept(npz(given_graph), "sparse").name)
    assert task.graphs[0].x.layout == torch.sparse_csr
    assert torch.equal(task.graphs[0].x.to_dense(), torch.eye(30))


def test_without_masks_a_seeded_split_is_made_and_said(home: Path) -> None:
    result = accept(npz(graph(masks=False)))
    task = load(result.name)
    assert "drawn with seed 0" in result.notes[-1]
    assert result.display_name == "graph.npz"
    assert result.sentence.startswith("30 nodes, ")
    assert result.sentence.endswith(result.notes[-1])
    assert task.notes == result.notes
    assert torch.equal(sum(mask.int() for mask in task.splits.values()), torch.ones(30, dtype=torch.int32))


def test_loops_and_duplicates_are_removed_and_said() -> None:
    arrays = graph()
    more = np.concatenate([arrays["edge_index"], arrays["edge_index"][:, :5], [[7, 8], [7, 8]]], axis=1)
    parsed = parse(npz(arrays | {"edge_index": more}))
    assert parsed.notes == ("Removed 2 self-loops and 5 duplicate edges.",)
    assert parsed.facts()["edges"] == arrays["edge_index"].shape[1]


def test_a_node_column_that_counts_is_not_a_feature() -> None:
    files = csv(graph())
    lines = files["features.csv"].decode().split("\n")
    counted = [f"node,{lines[0]}", *(f"{i},{line}" for i, line in enumerate(lines[1:]))]
    assert parse(files | {"features.csv": "\n".join(counted).encode()}).facts() == parse(files).facts()


@pytest.mark.parametrize("dtype", ["u1", "i2", "<i4", ">i4", "u8", "i8"])
def test_any_integer_type_is_the_same_graph(dtype: str) -> None:
    arrays = graph()
    same = arrays | {"edge_index": arrays["edge_index"].astype(dtype), "y": arrays["y"].astype(dtype)}
    assert parse(npz(same)).canonical() == parse(npz(arrays)).canonical()


def test_column_major_arrays_are_read() -> None:
    arrays = graph()
    turned = {name: np.asfortranarray(array) for name, array in arrays.items()}
    assert parse(npz(turned)).canonical() == parse(npz(arrays)).canonical()


@settings(max_examples=60, deadline=None)
@given(x=arrays_of.arrays(np.float32, st.tuples(st.integers(12, 40), st.integers(1, 6)),
                          elements=st.floats(-1e6, 1e6, width=32)), data=st.data())  # fmt: skip
def test_any_finite_features_survive(x: np.ndarray, data: st.DataObject) -> None:  # type: ignore[type-arg]
    nodes = len(x)
    edges = data.draw(arrays_of.arrays(np.int64, st.tuples(st.just(2), st.integers(1, 50)),
                                       elements=st.integers(0, nodes - 1)))  # fmt: skip
    edges = np.concatenate([edges, [[0], [1]]], axis=1)
    parsed = parse(safetensors({"x": x, "y": np.arange(nodes) % 2, "edge_index": edges})).arrays
    if "x" in parsed:
        kept = parsed["x"]
    else:
        kept = np.zeros_like(x)
        kept[np.repeat(np.arange(nodes), np.diff(parsed["x_ptr"])), parsed["x_col"]] = parsed["x_val"]
    assert np.array_equal(kept, x)
    expected = {(a, b) for a, b in edges.T.tolist() if a != b}
    assert {(a, b) for a, b in parsed["edge_index"].T.tolist()} == expected


def test_an_unknown_upload_lists_what_there_is(home: Path) -> None:
    result = accept(npz(graph()), "one")
    with pytest.raises(BadInput, match=result.name):
        load("upload-000000000000")


def test_a_damaged_stored_file_is_noticed(home: Path) -> None:
    result = accept(npz(graph()), "one")
    path = home / "uploads" / f"{result.name}.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x07")
    with pytest.raises(BadInput, match="damaged"):
        load(result.name)


def test_an_upload_without_its_side_file_is_not_there(home: Path) -> None:
    result = accept(npz(graph()), "one")
    (home / "uploads" / f"{result.name}.json").unlink()
    assert uploads() == []
    with pytest.raises(BadInput, match="none yet"):
        load(result.name)


def test_an_upload_has_no_settings(home: Path) -> None:
    result = accept(npz(graph()), "one")
    with pytest.raises(BadInput, match="k was given"):
        load(result.name, {"k": 3})


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=400))
@example("0 \x08 0")
def test_a_display_name_is_one_printable_line(text: str) -> None:
    shown = inert(text)
    assert 0 < len(shown) <= 200
    assert inert(shown) == shown
    assert "\n" not in shown
    assert "\u202e" not in shown


def test_the_parser_alone_prints_one_json_document(tmp_path: Path) -> None:
    file = tmp_path / "graph.npz"
    for content, code in [(npz(graph())["graph.npz"], 0), (b"damaged", 2)]:
        file.write_bytes(content)
        done = subprocess.run([sys.executable, "-m", "dqviz.data.parse", str(file)], capture_output=True, text=True,
                              cwd=Path(dqviz.__file__).parents[1], check=False)  # fmt: skip
        assert done.returncode == code, done.stderr
        assert set(json.loads(done.stdout)) == ({"name", "notes", "facts"} if code == 0 else {"error"})
    assert [path.name for path in tmp_path.iterdir()] == ["graph.npz"]
