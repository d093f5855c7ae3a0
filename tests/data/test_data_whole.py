"""Raw files that were cut off or replaced: one sentence, never a smaller graph without a word."""

from __future__ import annotations

import gzip
import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from data_files import copied, need
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dqviz.bench.graphs import load_graph
from dqviz.data import STATS, load
from dqviz.data.arrays import Arrays
from dqviz.data.paths import data_dir
from dqviz.data.whole import whole
from dqviz.errors import BadInput

MUTAG = ("A", "graph_indicator", "graph_labels", "node_labels")


def refused(name: str) -> str:
    with pytest.raises(BadInput) as caught:
        load(name, {})
    text = str(caught.value)
    assert "\n" not in text
    assert text.endswith("replace them.")
    return text


@pytest.mark.parametrize("part", MUTAG)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kept=st.floats(0, 0.999))
def test_a_file_of_a_graph_set_that_was_cut_off_is_refused(
    part: str, kept: float, home: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        file = copied("mutag", tmp_path_factory.mktemp("cut"), patch) / f"MUTAG_{part}.txt"
        content = file.read_bytes().rstrip()
        lines = content[: int(kept * len(content))].splitlines(keepends=True)
        file.write_bytes(b"".join(lines[:-1]))  # whole lines: what a reader takes without complaint
        assert "'mutag'" in refused("mutag")


@pytest.mark.parametrize("part", MUTAG)
def test_files_of_another_set_do_not_pass(
    part: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need("proteins")
    root = data_dir()
    assert root is not None
    raw = copied("mutag", tmp_path, monkeypatch)
    shutil.copyfile(root / "PROTEINS" / "raw" / f"PROTEINS_{part}.txt", raw / f"MUTAG_{part}.txt")
    refused("mutag")


def test_an_archive_that_was_cut_off_is_refused(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = copied("computers", tmp_path, monkeypatch) / "amazon_electronics_computers.npz"
    file.write_bytes(file.read_bytes()[:-1_000])
    assert "damaged (File is not a zip file)" in refused("computers")


def test_the_published_split_of_a_citation_graph_is_checked_too(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = copied("cora", tmp_path, monkeypatch) / "ind.cora.test.index"
    first, second, *rest = file.read_text().splitlines()
    file.write_text("\n".join([second, first, *rest]) + "\n")  # rows of features change places, nothing else shows it
    assert "not the published ones" in refused("cora")


def test_counts_that_differ_are_named() -> None:
    size, edges = STATS["mutag"][:2]
    arrays: Arrays = {"y": np.zeros(size), "edge_index": np.zeros((2, edges))}
    assert whole("mutag", Path(), lambda: arrays) is arrays
    with pytest.raises(BadInput, match="hold 188 rows and 10 edges, published are 188 and 7,442"):
        whole("mutag", Path(), lambda: arrays | {"edge_index": np.zeros((2, 10))})


def test_a_graph_to_time_on_that_was_cut_off_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb") as file:
        file.write(b"# FromNodeId ToNodeId\n" + b"".join(b"%d\t%d\n" % (i, i + 1) for i in range(1_000)))
    path = tmp_path / "topology" / "soc-Slashdot0902.txt.gz"
    path.parent.mkdir()
    monkeypatch.setenv("DQVIZ_DATA", str(tmp_path))
    path.write_bytes(packed.getvalue())
    assert load_graph("slashdot").num_edges == 1_000
    path.write_bytes(packed.getvalue()[:-100])
    with pytest.raises(BadInput, match=r"'slashdot' in .*topology are damaged .*: replace them\."):
        load_graph("slashdot")
