"""In words: where INT8 gains least, or loses, and what its time is spent on there."""

from __future__ import annotations

import pandas as pd

from dqviz.analysis.infos.latency import COPY, FULL, WHOLE, complete, steps_of
from dqviz.analysis.words import count, number, percent

SLIGHT = 0.25
"""Share of a step's time that moving its bytes takes at the copy's rate; below it bytes are not what costs."""
SHORT_MS = 1.0
"""Below this the fixed cost of a call (arguments, threads, buffers) is a visible part of a step's time."""
CALL = "the fixed cost of each call decides at this size, which fewer bits do not shrink"
Row = pd.Series


def least_gain(frame: pd.DataFrame, precision: str = "int8") -> str:
    """One paragraph; '' where nothing of this precision was timed beside FP32. `frame`: the latency table."""
    pairs = best_pairs(complete(frame[frame["op"] != COPY]), precision)
    if not pairs:
        return ""
    mine, peer = max(pairs, key=lambda pair: pair[0]["median_ms"] / pair[1]["median_ms"])
    slower = sum(bool(a["median_ms"] >= b["median_ms"]) for a, b in pairs)
    name = precision.upper()
    if slower:
        head = f"{name} is not faster in {slower} of {count(len(pairs), 'comparison')} of a whole network"
    else:
        head = f"{name} is faster in {'all ' * (len(pairs) > 1)}{count(len(pairs), 'comparison')} of a whole network"
    gain = peer["median_ms"] / mine["median_ms"]
    head += (f"; it gains least on {mine['graph']}: {number(mine['median_ms'])} ms ({mine['backend']}) against "
             f"{number(peer['median_ms'])} ms ({peer['backend']}), {number(gain, 2)} times as fast.")  # fmt: skip
    return f"{head} {reason(frame, mine)}".strip()


def best_pairs(frame: pd.DataFrame, precision: str) -> list[tuple[Row, Row]]:
    """(fastest row of this precision, fastest FP32 row) of every whole network, or of every product without one."""
    whole = frame[frame["op"].isin(WHOLE)]
    pairs = []
    for _, rows in (whole if len(whole) else frame).groupby(["op", "graph", "threads"], sort=False):
        mine, full = (rows[rows["precision"] == one] for one in (precision, FULL))
        if len(mine) and len(full):
            pairs.append((mine.nsmallest(1, "median_ms").iloc[0], full.nsmallest(1, "median_ms").iloc[0]))
    return pairs


def reason(frame: pd.DataFrame, mine: Row) -> str:
    """What the time of this row is spent on, as far as the timings of its steps and their bytes tell."""
    op, graph = str(mine["op"]), str(mine["graph"])
    steps = steps_of(frame, op)
    steps = steps[steps["graph"] == graph]
    own = steps[(steps["precision"] == mine["precision"]) & (steps["backend"] == mine["backend"])]
    if op in WHOLE and own.empty:
        return "Its steps were not timed one by one."
    step = own.nlargest(1, "median_ms").iloc[0] if len(own) else mine
    if len(own) and step["median_ms"] >= mine["median_ms"]:
        return "Its steps take longer when they are timed one by one than inside the network, so none can be named."
    text = f"Its longest step is {step['op']}: {number(step['median_ms'])} ms" if len(own) else "Of that time"
    peers = steps[(steps["op"] == step["op"]) & (steps["precision"] == FULL)]
    if len(own) and len(peers):
        text += f" (FP32: {number(peers['median_ms'].min())} ms)"
    return f"{text}; {cause(frame, step)}."


def cause(frame: pd.DataFrame, step: Row) -> str:
    """Bytes, a fixed cost, or arithmetic: by what moving the bytes alone would take."""
    copies = frame[frame["op"] == COPY]
    moved = step["bytes_moved"]
    if str(step["op"]).endswith("quantize"):
        return "it reads the float32 features, which is what FP32 does not need to convert"
    if copies.empty or pd.isna(moved):
        return CALL if step["median_ms"] < SHORT_MS else "how many bytes it moves is not known"
    moving = float(moved) / float((copies["bytes_moved"] / copies["median_ms"]).max())
    share = moving / float(step["median_ms"])
    told = f"moving its {number(float(moved) / 1e6)} MB at the rate of a copy would take {number(moving)} ms"
    if share >= SLIGHT:
        return f"{told}, {percent(share)} of it: the memory is the limit, and fewer bits help there"
    return f"{told}, {percent(share)} of it: {CALL if step['median_ms'] < SHORT_MS else 'instructions are the limit'}"
