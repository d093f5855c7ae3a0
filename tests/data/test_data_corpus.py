"""Malformed uploads (FAULTS.md): one clear sentence each, no traceback, nothing stored."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from dqviz.data.upload import Parsed, parse
from dqviz.errors import BadInput
from dqviz.runs.uploads import accept, uploads
from tests.data.data_corpus import corpus
from tests.data.data_files import Files, csv, graph, npz, safetensors

CORPUS = corpus()
THROUGH_THE_PROCESS = sorted(CORPUS)[::14]
MUTATIONS = 2_000


def is_one_sentence(text: str) -> bool:
    return text.endswith(".") and "\n" not in text and "Traceback" not in text and 10 < len(text) < 300


def test_the_corpus_is_large_enough() -> None:
    assert len(CORPUS) >= 60


@pytest.mark.parametrize("name", sorted(CORPUS))
def test_a_malformed_upload_gets_one_sentence(name: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse(CORPUS[name])
    assert is_one_sentence(str(caught.value)), str(caught.value)


@pytest.mark.parametrize("name", THROUGH_THE_PROCESS)
def test_the_process_says_the_same_and_stores_nothing(name: str, home: Path) -> None:
    with pytest.raises(BadInput) as direct:
        parse(CORPUS[name])
    with pytest.raises(BadInput) as caught:
        accept(CORPUS[name], "mine")
    assert str(caught.value) == str(direct.value)
    assert uploads() == []
    assert list((home / "uploads").iterdir()) == []


def mutate(content: bytes, rng: random.Random) -> bytes:
    """One to three small damages: bytes changed, taken away, doubled, or numbers replaced by extreme ones."""
    data = bytearray(content)
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(data) + 1)
        length = rng.choice([1, 1, 2, 8, 64])
        kind = rng.randrange(6)
        if kind == 0:
            data[at : at + length] = rng.randbytes(length)
        elif kind == 1:
            del data[at : at + length]
        elif kind == 2:
            data[at:at] = data[at : at + length]
        elif kind == 3:
            data[at : at + length] = rng.choice([b"\x00", b"\xff"]) * length
        elif kind == 4:
            data[at:at] = rng.choice([b"-1", b"nan", b"1e999", b",", b"\n", b"9" * 25, b"\x00", b"'", b"(", b"{"])
        else:
            del data[at:]
    return bytes(data)


def is_a_graph(parsed: Parsed) -> bool:
    """What any accepted upload must hold, however it came about."""
    arrays, facts = parsed.arrays, parsed.facts()
    edges, values = arrays["edge_index"], arrays["x"] if "x" in arrays else arrays["x_val"]
    masks = sum(arrays[f"{part}_mask"].astype(int) for part in ("train", "val", "test"))
    return bool(
        edges.min() >= 0
        and edges.max() < facts["nodes"]
        and np.isfinite(values).all()
        and set(np.unique(arrays["y"])) == set(range(facts["classes"]))
        and facts["classes"] >= 2
        and np.max(masks) <= 1
    )


def tried(files: Files) -> Parsed | str:
    """The graph, or the sentence it was refused with; anything else goes through and fails the test."""
    try:
        return parse(files)
    except BadInput as error:
        return str(error)


@pytest.mark.parametrize("write", [npz, lambda a: npz(a, compressed=False), safetensors, csv],
                         ids=["npz", "npz stored", "safetensors", "csv"])  # fmt: skip
def test_mutated_files_never_raise_anything_else(write) -> None:  # type: ignore[no-untyped-def]
    rng = random.Random(0)
    good: Files = write(graph())
    accepted = refused = 0
    for _ in range(MUTATIONS // 4):
        victim = rng.choice(sorted(good))
        outcome = tried(good | {victim: mutate(good[victim], rng)})
        refused += isinstance(outcome, str)
        accepted += isinstance(outcome, Parsed)
        assert is_one_sentence(outcome) if isinstance(outcome, str) else is_a_graph(outcome), outcome
    assert refused > MUTATIONS // 20
    assert accepted + refused == MUTATIONS // 4
