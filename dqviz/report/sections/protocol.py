"""How the runs were trained and judged: one protocol for every method, and what is and is not quantized."""

from __future__ import annotations

from typing import Any

import pandas as pd

from dqviz.report.blocks import Block, Table, Text
from dqviz.report.sections.base import Maker
from dqviz.report.source import Source

PROTOCOL = """
Every method runs under the same rules: the data set's own split, the model of the best validation accuracy (a tie goes
to the lower validation loss), the test set read once with that model, the same architecture and widths for every
method, seeds grouped as mean and interval.

Profile 'paper': every published site is quantized, messages on each edge included. Profile 'integer': products of a
message stay in 32-bit integers and are requantized once after the sum, which is what the integer kernels run. In both
the softmax of attention, pooling and the loss stay in floating point; at evaluation nothing is protected.

A twin is the same trained network with all quantizers off, so an error is never a difference of training. The local
error of a site is Q(x) - x on the value that arrives there; the accumulated error is the quantized network's value
minus the twin's. In-degree counts incoming edges without self-loops.

Differences between methods are paired over seeds; one is called a difference only when its 95 % interval
(Student's t over seeds) excludes 0.
"""


def make(source: Source) -> list[Block]:
    return [*(Text(" ".join(text.split())) for text in PROTOCOL.split("\n\n")), *settings(source)]


def settings(source: Source) -> list[Block]:
    """One row a group of seeds: everything the spec says."""
    groups: dict[str, dict[str, Any]] = {}
    seeds: dict[str, list[int]] = {}
    for run in source.runs:
        spec = run.spec.model_dump(mode="json")
        seeds.setdefault(repr(flat := row(spec)), []).append(int(spec.pop("seed")))
        groups[repr(flat)] = flat
    if not groups:
        return []
    rows = [{**flat, "seeds": spans(seeds[key])} for key, flat in groups.items()]
    return [Table("settings", "Settings of the runs", pd.DataFrame(rows))]


def row(spec: dict[str, Any]) -> dict[str, Any]:
    """A spec without its seed as one flat row."""
    optimizer = spec["optimizer"]
    own = {**spec["dataset_settings"], **spec["arch_settings"], **spec["method_settings"]}
    return {
        "dataset": spec["dataset"], "arch": spec["arch"], "method": spec["method"], "bits": str(spec["bits"]),
        "profile": spec["profile"], "epochs": spec["epochs"], "lr": optimizer["lr"],
        "weight decay": optimizer["weight_decay"], "decay every": optimizer["decay_every"],
        "threads": spec["threads"], "settings other than defaults": ", ".join(f"{k}={v}" for k, v in own.items()),
    }  # fmt: skip


def spans(seeds: list[int]) -> str:
    """'0 to 9', or the list where there are gaps."""
    ordered = sorted(set(seeds))
    whole = len(ordered) > 2 and ordered == list(range(ordered[0], ordered[-1] + 1))
    return f"{ordered[0]} to {ordered[-1]}" if whole else ", ".join(map(str, ordered))


MAKER = Maker("protocol", "Protocol and settings", "How runs were trained, selected and judged.", make)
