"""Memory of a job: its limit, its peak, and what the kernel says about processes it killed. Linux; else unknown."""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path

_UNIT = 1 if sys.platform == "darwin" else 1024  # ru_maxrss is bytes on macOS, KiB elsewhere
_COUNTERS = (Path("/sys/fs/cgroup/memory.events"), Path("/proc/vmstat"))


def limit(num_bytes: int) -> None:
    """Lets this process allocate no more than `num_bytes` of data (soft limit, so that `unlimit` can lift it)."""
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (num_bytes, hard))


def unlimit() -> None:
    """Room to report the failure."""
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (hard, hard))


def peak_bytes() -> int:
    """Largest resident size of this process so far.

    Not `ru_maxrss` where /proc tells: that one survives exec, so a job would inherit the size of whoever started it.
    """
    return peak_of(os.getpid()) or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _UNIT


def rusage_peak_bytes(usage: resource.struct_rusage, starter_bytes: int) -> int | None:
    """Largest resident size of a child that has been waited for; None where it hides behind its starter's size."""
    peak = usage.ru_maxrss * _UNIT
    return peak if peak > starter_bytes else None


def peak_of(pid: int) -> int | None:
    """Largest resident size of a living process so far; None where /proc does not tell."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return None
    kib = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    return int(kib[0]) * 1024 if kib else None


def oom_kills() -> int:
    """How many processes the kernel has killed for memory in this cgroup and on this machine, since it counts."""
    total = 0
    for path in _COUNTERS:
        try:
            words = path.read_text().split()
        except OSError:
            continue
        total += sum(int(value) for name, value in zip(words[::2], words[1::2], strict=False) if name == "oom_kill")
    return total


def is_out_of_memory(error: BaseException) -> bool:
    """MemoryError, or what torch raises in its place."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and ("can't allocate memory" in text or "out of memory" in text)
    )


def in_words(num_bytes: int | None) -> str:
    return "unknown" if num_bytes is None else f"{num_bytes / 2**20:,.0f} MiB"
