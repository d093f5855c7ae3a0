"""The timing protocol: interleaved, percentiles in order, thread counts pinned and given back."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch

from dqviz.bench import protocol
from dqviz.bench.protocol import machine, measure, pinned, require_idle, timing
from dqviz.errors import BadInput, Unavailable


def test_variants_are_interleaved_and_each_is_timed_in_every_round() -> None:
    seen: list[str] = []

    def variant(name: str) -> object:
        seen.append(name)
        time.sleep(0.003)
        return None

    timings = measure({"a": lambda: variant("a"), "b": lambda: variant("b")}, repeats=12, warmup=1)
    rounds = np.array(seen[2:]).reshape(12, 2)
    assert all(set(pair) == {"a", "b"} for pair in rounds)
    assert len(set(map(tuple, rounds))) == 2, "the order is drawn anew"
    for found in timings.values():
        assert found.repeats == 12
        assert 0 < found.p10_ms <= found.median_ms <= found.p90_ms


def test_percentiles_of_known_samples() -> None:
    found = timing([float(k) for k in range(11)])
    assert (found.p10_ms, found.median_ms, found.p90_ms) == (1.0, 5.0, 9.0)


def test_a_slower_variant_measures_slower() -> None:
    x = torch.randn(120, 120)
    timings = measure({"one": lambda: x @ x, "twenty": lambda: [x @ x for _ in range(20)]}, repeats=9)
    assert timings["twenty"].median_ms > 3 * timings["one"].median_ms


def test_threads_are_pinned_and_restored() -> None:
    before = torch.get_num_threads()
    with pinned(1):
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before
    with pytest.raises(BadInput, match="choose 1 to"), pinned(100_000):
        pass


def test_a_busy_machine_is_refused_unless_forced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol.os, "getloadavg", lambda: (99.0, 0.0, 0.0))
    with pytest.raises(Unavailable, match="busy"):
        require_idle(force=False)
    require_idle(force=True)


def test_no_repeats_is_bad_input() -> None:
    with pytest.raises(BadInput, match="repeats"):
        measure({}, repeats=0)


def test_the_machine_is_recorded() -> None:
    found = machine()
    assert {"cpu", "cores", "load_1min", "torch", "numba"} <= set(found)
