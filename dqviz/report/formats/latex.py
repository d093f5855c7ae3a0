"""LaTeX: every table with booktabs rules, ready for \\input; names are escaped."""

from __future__ import annotations

from pathlib import Path

from dqviz.report.blocks import Report, Table
from dqviz.report.safe import for_latex, one_line
from dqviz.report.words import cells, heading, is_number

# A page holds about fifty rows; the full tables are in the zip.
MOST_ROWS = 50


def write(report: Report, out: Path) -> None:
    out.write_text(latex(report), encoding="utf-8")


def latex(report: Report) -> str:
    head = ["% Needs \\usepackage{booktabs}. Made by dqviz; to make it again:", f"% {one_line(report.command)}", ""]
    return "\n".join([*head, *(tabular(table) for table in report.tables() if not table.frame.empty)])


def tabular(table: Table) -> str:
    """One table environment; longer tables are cut, and say so."""
    frame = table.frame.head(MOST_ROWS)
    columns = "".join("r" if is_number(table.frame[name]) else "l" for name in table.frame.columns)
    note = f" First {MOST_ROWS} of {len(table.frame)} rows." if len(table.frame) > MOST_ROWS else ""
    rows = [" & ".join(map(for_latex, row)) + r" \\" for row in cells(frame)]
    lines = [
        r"\begin{table}", r"\centering", rf"\caption{{{for_latex(f'{table.title}. {table.sentence}{note}')}}}",
        rf"\label{{tab:{table.name}}}", rf"\begin{{tabular}}{{{columns}}}", r"\toprule",
        " & ".join(for_latex(heading(name)) for name in table.frame.columns) + r" \\", r"\midrule", *rows,
        r"\bottomrule", r"\end{tabular}", r"\end{table}", "",
    ]  # fmt: skip
    return "\n".join(lines)
