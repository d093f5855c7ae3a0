"""The timing protocol: interleaved, percentiles in order, thread counts pinned and given back."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from dqviz.bench import protocol
from dqviz.bench.protocol import (
    SLOW_MS,
    SLOW_REPEATS,
    WHOLE,
    Laps,
    keep_freed_memory,
    machine,
    measure,
    pinned,
    require_idle,
    rounds_of,
    timing,
)
from dqviz.errors import BadInput, Unavailable


def test_variants_are_interleaved_and_each_is_timed_in_every_round() -> None:
    seen: list[str] = []

    def variant(name: str) -> object:
        seen.append(name)
        time.sleep(0.003)
        return None

    timings = measure({"a": lambda: variant("a"), "b": lambda: variant("b")}, repeats=12, warmup=1)
    calls = np.array(seen[2:]).reshape(12, 2, 2)
    assert (calls[:, :, 0] == calls[:, :, 1]).all(), "a sample follows a call of the same variant"
    rounds = calls[:, :, 1]
    assert all(set(pair) == {"a", "b"} for pair in rounds)
    assert len(set(map(tuple, rounds))) == 2, "the order is drawn anew"
    for found in timings.values():
        assert found.repeats == 12
        assert 0 < found.p10_ms <= found.median_ms <= found.p90_ms


def test_percentiles_of_known_samples() -> None:
    found = timing([{WHOLE: float(k), "a": 2.0 * k} for k in range(11)])
    assert (found.p10_ms, found.median_ms, found.p90_ms) == (1.0, 5.0, 9.0)
    assert found.steps["a"].median_ms == 10.0


def test_steps_are_timed_inside_the_call() -> None:
    def run() -> Iterator[str]:
        time.sleep(0.004)
        yield "long"
        time.sleep(0.001)
        yield "short"

    found = measure({"both": Laps(run), "plain": lambda: time.sleep(0.001)}, repeats=5)
    both = found["both"]
    assert set(both.steps) == {"long", "short"}
    assert both.steps["long"].median_ms > both.steps["short"].median_ms
    assert sum(step.median_ms for step in both.steps.values()) == pytest.approx(both.median_ms, rel=0.2)
    assert not found["plain"].steps


def test_a_slow_variant_is_sampled_less_often_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "SLOW_MS", 20.0)
    calls: list[str] = []

    def variant(name: str, seconds: float) -> None:
        calls.append(name)
        time.sleep(seconds)

    found = measure({"slow": lambda: variant("slow", 0.03), "fast": lambda: variant("fast", 0.0025)}, repeats=20)
    assert (found["slow"].repeats, found["fast"].repeats) == (SLOW_REPEATS, 20)
    places = [place for place, name in enumerate(calls) if name == "slow"]
    assert places[-1] - places[2] > 12, "spread over the rounds, not one after the other"


def test_kept_memory_is_given_back_before_it_fills_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[str] = []
    monkeypatch.setattr(protocol, "give_back_memory", lambda: given.append("back"))
    protocol.make_room(protocol.ROOMY_MS / 2)
    monkeypatch.setattr(protocol, "LITTLE", 0.0)
    protocol.make_room(protocol.ROOMY_MS)
    assert not given
    monkeypatch.setattr(protocol, "LITTLE", 1.0)
    protocol.make_room(protocol.ROOMY_MS)
    assert given == ["back"]


def test_no_repeat_of_a_fast_variant_is_left_out() -> None:
    assert list(rounds_of(SLOW_MS, 30)) == list(range(30))
    assert sorted(rounds_of(SLOW_MS + 1, 30)) == [0, 7, 14, 22, 29]
    assert len(rounds_of(SLOW_MS + 1, 5)) == 5


def test_freed_memory_is_kept_where_the_c_library_can() -> None:
    if platform.libc_ver()[0] != "glibc":
        assert not keep_freed_memory()
        return
    assert keep_freed_memory()
    script = (
        "import resource, numpy as np\n"
        "from dqviz.bench.protocol import keep_freed_memory\n"
        "def faults():\n"
        "    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "    for _ in range(5): np.ones(2**24, np.uint8)\n"
        "    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before\n"
        "keep_freed_memory(); np.ones(2**25, np.uint8); print(faults())"
    )
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=plain)
    assert int(done.stdout) < 100  # of 20,480 pages of 4 kB


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
    assert found["cpu"]
    assert protocol.installed("no-such-package") is None
    assert "no-such-package" not in found
