"""How things are timed here: warmed up, all variants interleaved in one process, medians with p10 and p90.

Interleaving is what makes a ratio trustworthy: a neighbour's load or a change of clock hits every variant alike.
"""

from __future__ import annotations

import ctypes
import os
import platform
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from threadpoolctl import threadpool_limits

from dqviz.errors import BadInput, Unavailable

SETTLE_S = 0.01
SAMPLE_MS = 2.0
"""A sample repeats a fast operation until it takes about this long, so that the clock's own cost does not count."""
SLOW_MS, SLOW_REPEATS = 500.0, 5
"""A variant that takes longer than this a call is sampled in 5 of the rounds, spread evenly, and says so in `repeats`.

Every other variant is sampled in all of them (30 when not told otherwise). Half a second is far above what disturbs a
short call, and 30 forward passes of PyG on a large graph would take most of the time of a run.
"""
BUSY_SHARE = 0.5
"""Load average (1 minute) per core above which timing is refused unless forced."""
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4  # malloc.h of glibc
TOP_PAD_BYTES = 2**26
LITTLE, ROOMY_MS = 0.45, 50.0
"""Share of the memory below which freed memory is given back, and how long calls take that could need so much."""
PACKAGES = ("numpy", "torch", "torch_geometric", "numba", "onnxruntime")


@dataclass(frozen=True)
class Laps:
    """A variant in steps: `run()` does one step after the other and yields the name of each when it is done."""

    run: Callable[[], Iterator[str]]


Variant = Callable[[], object] | Laps
WHOLE = ""
Sample = dict[str, float]
"""Milliseconds of one call: under WHOLE, and of a variant in steps under the name of each step."""


@dataclass(frozen=True)
class Timing:
    """Milliseconds of one call, over `repeats` samples; `steps`: the same of each step, measured inside the calls."""

    median_ms: float
    p10_ms: float
    p90_ms: float
    repeats: int
    steps: Mapping[str, Timing] = field(default_factory=dict)


def measure(variants: Mapping[str, Variant], repeats: int = 30, warmup: int = 3, seed: int = 0) -> dict[str, Timing]:
    """Times all variants, each once a round, in an order drawn anew each round. Raises BadInput for repeats < 1.

    A variant slower than `SLOW_MS` takes part in `SLOW_REPEATS` of the rounds, spread evenly.
    """
    if repeats < 1:
        raise BadInput(f"{repeats} is not a number of repeats; choose 1 or more.")
    keep_freed_memory()
    give_back_memory()  # of what was measured before
    warm = {name: warmed_ms(run, warmup) for name, run in variants.items()}
    samples: dict[str, list[Sample]] = {name: [] for name in variants}
    draw = random.Random(seed)
    for number in range(repeats):
        order = [name for name in variants if number in rounds_of(warm[name], repeats)]
        draw.shuffle(order)
        for name in order:
            make_room(warm[name])
            settle(variants[name], warm[name])
            samples[name].append(sample(variants[name], calls_a_sample(warm[name])))
    return {name: timing(found) for name, found in samples.items()}


def rounds_of(call_ms: float, repeats: int) -> range | set[int]:
    """The rounds a variant of this speed takes part in."""
    if call_ms <= SLOW_MS or repeats <= SLOW_REPEATS:
        return range(repeats)
    return {round(place) for place in np.linspace(0, repeats - 1, SLOW_REPEATS)}


def timing(samples: list[Sample]) -> Timing:
    steps = {name: percentiles([one[name] for one in samples]) for name in samples[0] if name != WHOLE}
    return percentiles([one[WHOLE] for one in samples], steps)


def percentiles(times: list[float], steps: Mapping[str, Timing] | None = None) -> Timing:
    p10, median, p90 = np.percentile(times, (10, 50, 90))
    return Timing(float(median), float(p10), float(p90), len(times), steps or {})


def warmed_ms(run: Variant, warmup: int) -> float:
    """Warms a variant up (compilation, caches, page faults) and says how long a call takes; slow ones warm up once."""
    make_room()
    last = sample(run, 1)[WHOLE]
    for _ in range(warmup - 1 if last <= SLOW_MS else min(warmup - 1, 1)):
        time.sleep(SETTLE_S)
        last = sample(run, 1)[WHOLE]
    return last


def settle(run: Variant, call_ms: float) -> None:
    """Lets the threads of the variant before fall asleep, and calls this one once: every sample is a repeated call.

    OpenMP's threads wait busily for some milliseconds after a call; on two cores they took the second one from whoever
    came next (an integer run of Cora on two threads: 0.69 ms in place of 0.10). What a call finds in the caches should
    be what it left there, not what another variant did: a server calls one network again and again. Only variants that
    take part in few rounds go without; they are hundreds of times larger than any cache.
    """
    time.sleep(SETTLE_S)
    if call_ms <= SLOW_MS:
        sample(run, 1)


def calls_a_sample(call_ms: float) -> int:
    return max(1, min(1000, round(SAMPLE_MS / max(call_ms, 1e-4))))


def sample(run: Variant, calls: int) -> Sample:
    """Mean time of one call over `calls` calls, and of each step (reading the clock takes 0.0001 ms a step)."""
    laps: Sample = {}
    begin = time.perf_counter()
    for _ in range(calls):
        if isinstance(run, Laps):
            add_laps(run, laps)
        else:
            run()
    laps[WHOLE] = time.perf_counter() - begin
    return {name: seconds * 1e3 / calls for name, seconds in laps.items()}


def add_laps(run: Laps, laps: Sample) -> None:
    """One call; the seconds of each step are added up by name."""
    last = time.perf_counter()
    for name in run.run():
        now = time.perf_counter()
        laps[name] = laps.get(name, 0.0) + now - last
        last = now


def make_room(call_ms: float = SLOW_MS) -> None:
    """Before a call of this length: gives freed memory back where little is left.

    What is kept falls to pieces: variants with messages of all edges (2.7 GB each in a GAT of ogbn-arxiv's size) once
    filled 22 of 23 GB so. A call that finds its pages gone is one of many, and the median does not see it.
    """
    if call_ms >= ROOMY_MS:
        memory = psutil.virtual_memory()
        if memory.available < LITTLE * memory.total:
            give_back_memory()


def give_back_memory() -> None:
    """Freed memory to the system, where the C library can."""
    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


@cache
def keep_freed_memory() -> bool:
    """Makes glibc keep freed memory for the rest of this process, for every variant; False with another C library.

    By default blocks above 32 MB go back to the system after each use, and each call then pays for fresh pages: the
    float peers, which make new tensors, would pay most (an SpMM of 128 features on 169,343 nodes up to half of its
    time). Trainings get the same from their environment (`dqviz.runs.supervisor`).
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return all([mallopt(M_MMAP_MAX, 0), mallopt(M_TRIM_THRESHOLD, -1), mallopt(M_TOP_PAD, TOP_PAD_BYTES)])


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


def idle() -> bool:
    """Whether other work keeps less than half of the cores occupied."""
    return os.getloadavg()[0] <= BUSY_SHARE * (os.cpu_count() or 1)


def require_idle(force: bool) -> None:
    """Raises Unavailable on a busy machine: a figure taken there says nothing."""
    if not force and not idle():
        load, cores = os.getloadavg()[0], os.cpu_count() or 1
        raise Unavailable(f"The machine is busy (load {load:.1f} on {cores} cores): wait, or force the measurement.")


def machine() -> dict[str, Any]:
    """Processor, cores, load and versions: what a figure must be read with."""
    return {
        "cpu": processor(),
        "cores": os.cpu_count() or 1,
        "load_1min": os.getloadavg()[0],
        "python": platform.python_version(),
        **{name: found for name in PACKAGES if (found := installed(name))},
    }


def installed(package: str) -> str | None:
    """Version of a package; None where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


@cache
def processor() -> str:
    """Name of the processor."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()
