"""Chains: a recorded sparse product and the dense products that follow it become one job, a few rows at a time.

While rows are multiplied the next ones' neighbours are fetched: a sparse product waits for memory, a dense one does not
need it. A chain may also begin with floats that become codes, whose reading takes memory too. The arithmetic is that of
the single jobs.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from ctypes import Structure, c_void_p

import numpy as np

from dqviz.integer.kernels.library import CODES, BlendJob, ChainJob, GemmJob, Job, QuantizeJob, SpmmJob
from dqviz.integer.quads import Quads

LONGEST = 4
"""Dense products of a chain at most."""
HUB_SHARE = 16
"""A chain shares whole rows among threads; a row that is a larger part of a thread's entries must be cut instead."""


def joined(jobs: Sequence[Job]) -> list[Job]:
    """The jobs with every chain found in them as one job."""
    out: list[Job] = []
    at = 0
    while at < len(jobs):
        links = following(jobs, at)
        out.append(chain(jobs[at : at + 1 + links]) if links else jobs[at])
        at += 1 + links
    return out


def following(jobs: Sequence[Job], at: int) -> int:
    """How many dense products behind jobs[at] each read, alone, what the job before them has written."""
    job, threads, kept = jobs[at]
    if not isinstance(job, SpmmJob | QuantizeJob) or (isinstance(job, SpmmJob) and has_hub(kept, threads)):
        return 0
    links = 0
    while links < LONGEST and at + links + 1 < len(jobs):
        (before, *_), (after, shared, _) = jobs[at + links], jobs[at + links + 1]
        if not isinstance(after, GemmJob) or after.x != before.out or shared != threads:
            break
        if before.finish.kind != CODES or readers(jobs, before.out) > 1:
            break
        links += 1
    return links


def readers(jobs: Sequence[Job], start: int) -> int:
    """How many of the jobs, and of their second products, have this address as an operand."""
    structs = {id(part): part for job, _, kept in jobs for part in (job, *kept) if isinstance(part, Structure)}
    operands = [part for struct in structs.values() for part in
                ((struct.first, struct.second) if isinstance(struct, BlendJob) else (struct,))]  # fmt: skip
    return sum(getattr(part, name, None) == start for part in operands for name in ("x", "source"))


def has_hub(kept: Sequence[object], threads: int) -> bool:
    """Whether one row holds much of a thread's share of the groups."""
    ptr = next(part for part in kept if isinstance(part, Quads)).layout.ptr
    return threads > 1 and int(np.diff(ptr).max(initial=0)) * HUB_SHARE * threads > int(ptr[-1])


def chain(jobs: Sequence[Job]) -> Job:
    """One job of a sparse product, or of floats to codes, and dense ones; it keeps what they keep."""
    (first, threads, _), *rest = jobs
    gemms = (c_void_p * len(rest))(*(ctypes.addressof(job) for job, *_ in rest))
    sums, quantize = (ctypes.addressof(first) if isinstance(first, kind) else None for kind in (SpmmJob, QuantizeJob))
    job = ChainJob(threads, len(rest), sums, quantize, ctypes.addressof(gemms))
    return job, threads, (gemms, *jobs)
