"""Chains of a sparse product and dense ones give what the single operations give."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from dqviz import integer
from dqviz.bench.graphs import heavy_tailed
from dqviz.bench.sample import sample_features, sample_model
from dqviz.integer.graph import features_of
from dqviz.integer.kernels import native
from dqviz.integer.kernels.chains import joined
from dqviz.integer.kernels.library import ChainJob, Job
from dqviz.integer.kernels.native import Native
from tests.integer.variants import small_work_is_shared_too  # noqa: F401

ARCHS = ("gcn", "gin", "sage", "gat")
MULTIPLIES_FIRST = ("gcn", "gat")
"""Networks whose features meet one dense product, and nothing else, when they have become codes."""
GRAPH = heavy_tailed("chains", 1_001, 9_000)
"""1,001 rows: eleven chunks of 96, the last one not full, so three threads get three or four each."""


def tape_of(monkeypatch: pytest.MonkeyPatch) -> list[list[Job]]:
    """Every list of jobs that is joined from now on."""
    made: list[list[Job]] = []

    def kept(jobs: list[Job]) -> list[Job]:
        made.append(joined(jobs))
        return made[-1]

    monkeypatch.setattr(native, "joined", kept)
    return made


def logits(program: integer.Plan, x: torch.Tensor) -> Any:
    return integer.Session(program, "reference").run(x, GRAPH.edge_index).numpy()


@pytest.mark.skipif(not native.levels(), reason="native kernels are not built")
@pytest.mark.parametrize("arch", ARCHS)
@pytest.mark.parametrize("bits", [8, 4, 2])
def test_a_replay_with_chains_equals_the_reference(arch: str, bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    program = integer.plan(sample_model(arch, bits))
    x = sample_features(GRAPH.num_nodes)
    expected, halved = logits(program, x), logits(program, 0.5 * x)
    assert bits == 2 or not np.array_equal(expected, halved)  # GIN's sums saturate 2 bits whatever the features
    tapes = tape_of(monkeypatch)
    for level in native.levels():
        for threads in (1, 2, 3):
            own = x.clone()
            session = integer.Session(program, "native", threads)
            session.backend = Native(threads, level)
            frame = session.frame(features_of(own), session.prepare(GRAPH.edge_index, GRAPH.num_nodes))
            np.testing.assert_array_equal(session.execute(frame), expected)
            chains = [job for job, *_ in tapes[-1] if isinstance(job, ChainJob)]
            assert sum(chain.spmm is not None for chain in chains) >= 2
            assert sum(chain.quantize is not None for chain in chains) == (arch in MULTIPLIES_FIRST)
            assert frame.replay is not None
            np.testing.assert_array_equal(session.execute(frame), expected)
            own.mul_(0.5)  # a replay computes: nothing of the first run is left between the products
            np.testing.assert_array_equal(session.execute(frame), halved)


@pytest.mark.skipif(not native.levels(), reason="native kernels are not built")
def test_a_hub_is_cut_and_not_chained(monkeypatch: pytest.MonkeyPatch) -> None:
    tapes = tape_of(monkeypatch)
    star = torch.stack([torch.arange(1, 400), torch.zeros(399, dtype=torch.long)])
    x = sample_features(400)
    program = integer.plan(sample_model("gin", 8))
    expected = integer.Session(program, "reference").run(x, star)
    for threads, chains in ((1, 3), (2, 0)):
        session = integer.Session(program, "native", threads)
        torch.testing.assert_close(session.run(x, star), expected, rtol=0, atol=0)
        assert sum(isinstance(job, ChainJob) for job, *_ in tapes[-1]) == chains
