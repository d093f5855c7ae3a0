"""Markdown: headings, sentences and tables; charts as the sentence and the numbers they draw."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from dqviz.report.blocks import Block, Chart, Code, Report, Text
from dqviz.report.safe import for_markdown, readable
from dqviz.report.words import cells, heading, is_number

MOST_ROWS = 40


def write(report: Report, out: Path) -> None:
    out.write_text(markdown(report), encoding="utf-8")


def markdown(report: Report) -> str:
    parts = [f"# {for_markdown(report.title)}", for_markdown(report.subtitle)]
    for section in report.sections:
        parts += [f"## {for_markdown(section.title)}", *(block_text(block) for block in section.blocks)]
    return "\n\n".join(part for part in parts if part) + "\n"


def block_text(block: Block) -> str:
    if isinstance(block, Text):
        return for_markdown(block.text)
    if isinstance(block, Code):
        return "\n".join(f"    {line}" for line in readable(block.text).splitlines())
    frame = block.table if isinstance(block, Chart) else block.frame
    return "\n\n".join(filter(None, [f"**{for_markdown(block.title)}**", for_markdown(block.sentence), table(frame)]))


def table(frame: pd.DataFrame) -> str:
    """A pipe table of at most 40 rows; the rest is in the zip, and it says so."""
    if frame.empty:
        return ""
    names = list(frame.columns)
    rule = ["---:" if is_number(frame[name]) else "---" for name in names]
    rows = [[for_markdown(heading(name)) for name in names], rule]
    rows += [[for_markdown(text) for text in row] for row in cells(frame.head(MOST_ROWS))]
    lines = [f"| {' | '.join(row)} |" for row in rows]
    if len(frame) > MOST_ROWS:
        lines += ["", f"First {MOST_ROWS} of {len(frame)} rows; all of them are in the zip."]
    return "\n".join(lines)
