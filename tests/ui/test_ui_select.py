"""Which groups a page opens with."""

from __future__ import annotations

from pathlib import Path

from dqviz.runs.ledger import RunRow
from dqviz.spec import RunSpec
from dqviz.ui.select import first_family


def groups(archs: list[str], methods: list[str], bits: list[int]) -> dict[str, list[RunRow]]:
    specs = [RunSpec(dataset="karate", arch=arch, method=method, bits=width)
             for arch in archs for method in methods for width in bits]  # fmt: skip
    return {f"{spec.arch} {spec.method} {spec.bits}": [RunRow(spec.digest, "train", "finished", spec, Path())]
            for spec in specs}  # fmt: skip


def test_no_method_is_left_out_for_a_second_width_of_another() -> None:
    """Degree-Quant comes last in its own tables, and seven lines are full of PTQ and QAT before."""
    chosen = first_family(groups(["gcn", "gat"], ["ptq", "qat", "nqat", "dq"], [8, 4, 2]))
    assert chosen == [f"gcn {one}" for one in ("ptq 8", "ptq 4", "qat 8", "qat 4", "nqat 8", "nqat 4", "dq 8")]


def test_few_groups_of_the_first_architecture_are_all_chosen() -> None:
    assert first_family(groups(["gcn", "gat"], ["qat", "dq"], [8, 4])) == ["gcn qat 8", "gcn qat 4", "gcn dq 8",
                                                                          "gcn dq 4"]  # fmt: skip
