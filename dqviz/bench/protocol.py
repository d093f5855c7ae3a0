"""How things are timed here: warmed up, all variants interleaved in one process, medians with p10 and p90.

Interleaving is what makes a ratio trustworthy: a neighbour's load or a change of clock hits every variant alike.
"""

from __future__ import annotations

import os
import platform
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from dqviz.errors import BadInput, Unavailable

Variant = Callable[[], object]
SAMPLE_MS = 2.0
"""A sample repeats a fast operation until it takes about this long, so that the clock's own cost does not count."""
BUSY_SHARE = 0.5
"""Load average (1 minute) per core above which timing is refused unless forced."""


@dataclass(frozen=True)
class Timing:
    """Milliseconds of one call, over `repeats` samples."""

    median_ms: float
    p10_ms: float
    p90_ms: float
    repeats: int


def measure(variants: Mapping[str, Variant], repeats: int = 30, warmup: int = 3, seed: int = 0) -> dict[str, Timing]:
    """Times all variants, each once a round, in an order drawn anew each round. Raises BadInput for repeats < 1."""
    if repeats < 1:
        raise BadInput(f"{repeats} is not a number of repeats; choose 1 or more.")
    calls = {name: calls_a_sample(run, warmup) for name, run in variants.items()}
    samples: dict[str, list[float]] = {name: [] for name in variants}
    order, draw = list(variants), random.Random(seed)
    for _ in range(repeats):
        draw.shuffle(order)
        for name in order:
            samples[name].append(sample_ms(variants[name], calls[name]))
    return {name: timing(times) for name, times in samples.items()}


def timing(times: list[float]) -> Timing:
    p10, median, p90 = np.percentile(times, (10, 50, 90))
    return Timing(float(median), float(p10), float(p90), len(times))


def calls_a_sample(run: Variant, warmup: int) -> int:
    """Warms a variant up (compilation, caches, page faults) and says how many calls make a sample."""
    for _ in range(max(1, warmup)):
        last = sample_ms(run, 1)
    return max(1, min(1000, round(SAMPLE_MS / max(last, 1e-4))))


def sample_ms(run: Variant, calls: int) -> float:
    """Mean time of one call over `calls` calls."""
    begin = time.perf_counter()
    for _ in range(calls):
        run()
    return (time.perf_counter() - begin) * 1e3 / calls


@contextmanager
def pinned(threads: int) -> Iterator[None]:
    """Every pool of this process (torch, OpenMP, BLAS) at `threads` threads, restored afterwards."""
    cores = os.cpu_count() or 1
    if not 1 <= threads <= cores:
        raise BadInput(f"{threads} threads cannot be timed on this machine; choose 1 to {cores}.")
    before = torch.get_num_threads()
    with threadpool_limits(threads):
        torch.set_num_threads(threads)
        try:
            yield
        finally:
            torch.set_num_threads(before)


def require_idle(force: bool) -> None:
    """Raises Unavailable on a busy machine: a figure taken there says nothing."""
    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    if load > BUSY_SHARE * cores and not force:
        raise Unavailable(f"The machine is busy (load {load:.1f} on {cores} cores): wait, or force the measurement.")


def machine() -> dict[str, Any]:
    """Processor, cores, load and versions: what a figure must be read with."""
    return {
        "cpu": processor(),
        "cores": os.cpu_count() or 1,
        "load_1min": os.getloadavg()[0],
        "python": platform.python_version(),
        **{name: version(name) for name in ("numpy", "torch", "torch_geometric", "numba")},
    }


def processor() -> str:
    info = Path("/proc/cpuinfo")
    if not info.exists():
        return platform.processor()
    lines = info.read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
