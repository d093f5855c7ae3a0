"""How long a study will take, from epochs that were measured on this machine; unknown is said, never guessed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

from dqviz.spec import RunSpec, Study

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Estimate:
    """Seconds of wall time for the runs that can be estimated, and how many cannot."""

    seconds: float
    known: int
    unknown: int
    done: int

    @property
    def text(self) -> str:
        if not self.known and not self.unknown:
            return "nothing left to train"
        if not self.known:
            return "unknown"
        return f"{duration(self.seconds)}{' or more' if self.unknown else ''}"

    @property
    def reason(self) -> str:
        if self.unknown:
            return f"Not counted, because nothing of their kind was trained here yet: {self.unknown} of the runs."
        return "From the median epoch of finished runs of the same kind on this machine, without queueing."


def estimate(study: Study, finished: Iterable[Row], slots: int | None = None) -> Estimate:
    """Wall time of the runs of `study` that are not finished yet, on `slots` processes at a time."""
    rows = list(finished)
    have = {str(row["run_id"]) for row in rows}
    left = [spec for spec in study.runs if spec.digest not in have]
    times = [epoch_ms(spec, rows) for spec in left]
    measured = [spec.epochs * time / 1000 for spec, time in zip(left, times, strict=True) if time is not None]
    seconds = sum(measured) / min(max(len(left), 1), slots or os.cpu_count() or 1)
    return Estimate(seconds, len(measured), len(left) - len(measured), len(study.runs) - len(left))


def epoch_ms(spec: RunSpec, rows: Iterable[Row]) -> float | None:
    """Median measured epoch of the same data set, architecture and method; None when there is none."""
    times = [
        float(row["epoch_ms_median"])
        for row in rows
        if (row["dataset"], row["arch"], row["method"]) == (spec.dataset, spec.arch, spec.method)
        and row["epoch_ms_median"]
    ]
    return median(times) if times else None


def duration(seconds: float) -> str:
    """'40 s', '3 min', '2 h 5 min'."""
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
