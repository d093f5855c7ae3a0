"""Depth and smoothness by layer: what lines hold and what is said, on made-up runs whose numbers are known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dqviz import analysis
from dqviz.analysis.infos import depth as depth_info
from dqviz.analysis.infos.smoothness_by_layer import OLD, free_of_scale
from tests.analysis import analysis_examples as examples

BOTH: dict[str, Any] = {"archs": ("gcn", "smp"), "seeds": 2}
DEFAULTS = {"gcn": 2, "smp": 10}


def nothing(_run_id: str) -> None:
    return None


def deep(**kwargs: Any) -> depth_info.Depth:
    return analysis.depth(examples.depth_rows(**(BOTH | kwargs)), examples.depth_table, DEFAULTS)


def layers(**kwargs: Any) -> analysis.Group:
    (group,) = analysis.group_runs(examples.depth_rows((5,), **kwargs), examples.depth_table)
    return group


def test_runs_that_differ_in_depth_are_one_line() -> None:
    info = deep(seeds=3)
    assert [line.label for line in info.accuracies] == [
        "FP32, GCN", "QAT INT4, GCN", "Degree-Quant INT4, GCN", "FP32, SMP", "QAT INT4, SMP", "Degree-Quant INT4, SMP",
    ]  # fmt: skip
    line = info.accuracies[1]
    np.testing.assert_allclose(line.x, [2, 8, 32])
    np.testing.assert_allclose(line.y, [0.81, 0.61, 0.41])
    assert (line.low < line.y).all()
    assert (line.y < line.high).all()


def test_energy_and_error_are_those_of_the_last_layer() -> None:
    info = deep(archs=("gcn",), seeds=1)
    np.testing.assert_allclose(info.energies[1].y, [0.5**2, 0.5**8, 0.5**32])
    assert [line.label for line in info.errors] == ["QAT INT4", "Degree-Quant INT4"], "full precision has no error"
    np.testing.assert_allclose(info.errors[0].y, [0.025 * depth for depth in (2, 8, 32)])
    assert info.table["layers"].tolist() == [2, 8, 32] * 3
    assert info.table["layer_error"].tolist()[:3] == [0, 0, 0]


def test_the_sentence_names_who_loses_most_and_who_least() -> None:
    info = deep(combinations=(("qat", 4),))
    assert info.sentence.startswith(
        "GCN in INT4 loses 40.0 points of test accuracy from 2 to 32 layers and SMP loses 2.0. The scale-free energy"
    )
    assert "from 0.26 to" in info.sentence, "the mean over seeds of 0.25 and 0.275, after 2 layers"
    full = deep(combinations=(("fp32", 32),))
    assert full.sentence.startswith("GCN in FP32 loses")
    assert "in INT4" in deep(combinations=(("fp32", 32), ("qat", 4))).sentence, "what quantized networks do comes first"
    several = deep(combinations=(("qat", 2), ("dq", 2)))
    assert "GCN with QAT in INT2 loses 40.0" in several.sentence
    assert "SMP with Degree-Quant loses 2.0" in several.sentence


def test_a_default_depth_counts_as_what_it_is() -> None:
    rows = examples.depth_rows((2, 8), combinations=(("qat", 4),), seeds=1)
    del rows[0]["arch_settings"]
    info = analysis.depth(rows, examples.depth_table, DEFAULTS)
    assert [line.x.tolist() for line in info.accuracies] == [[2, 8]]
    assert not analysis.depth(rows, examples.depth_table, {}).accuracies, "nobody knows that it had 2"


def test_one_depth_says_what_to_do() -> None:
    info = deep(depths=(8,))
    assert info.table.empty
    assert "layers: 8" in info.sentence
    assert "Depth, Cora" in info.sentence


def test_runs_without_smoothness_still_show_accuracy() -> None:
    info = analysis.depth(examples.depth_rows(**BOTH), nothing, DEFAULTS)
    assert len(info.accuracies) == 6
    assert not info.energies
    assert not info.errors
    assert info.sentence.endswith("so only accuracy is shown.")


def test_a_group_without_a_seed_at_one_depth_keeps_the_others() -> None:
    rows = [row for row in examples.depth_rows(combinations=(("qat", 4),), seeds=3) if row["run_id"] != "gcn:4:1:8"]
    (line,) = analysis.depth(rows, examples.depth_table, DEFAULTS).accuracies
    np.testing.assert_allclose(line.y, [0.81, 0.61, 0.41])
    assert np.isnan(line.low).tolist() == [False, True, False]


def test_free_of_scale_by_hand() -> None:
    frame = pd.DataFrame({"energy": [2.0, 0.0], "squares": [8.0, 0.0], "energy_twin": [1.0, 1.0], "squares_twin": 4.0})
    found = free_of_scale(frame)
    assert found["roughness"].iloc[0] == 0.25
    assert np.isnan(found["roughness"].iloc[1]), "rows that are all zero are neither smooth nor rough"
    assert found["roughness_twin"].tolist() == [0.25, 0.25]


def test_smoothness_over_layers() -> None:
    group = layers(combinations=(("qat", 4),), archs=("smp",), seeds=2)
    info = analysis.smoothness_by_layer([group])
    np.testing.assert_allclose(info.energies[0].x, range(1, 6))
    np.testing.assert_allclose(info.energies[0].y, 1.05 * 0.5 ** np.arange(1, 6))
    np.testing.assert_allclose(info.twins[0].y, 0.5 * info.energies[0].y)
    assert info.changes[0].finite.tolist() == [False, *[True] * 4]
    np.testing.assert_allclose(info.errors[0].y, 0.025 * np.arange(1, 6))
    np.testing.assert_allclose(info.multipliers[0].y, 1e-3 - 1e-4 * np.arange(1, 6))
    assert "from 0.53 after layer 1 to 0.033 after layer 5" in info.sentence
    assert "0.025 after layer 1, 0.12 after layer 5" in info.sentence
    assert "multiplier" not in info.sentence


def test_a_multiplier_at_its_bound_is_said() -> None:
    group = layers(combinations=(("qat", 4),), archs=("smp",), seeds=2)
    still = [frame.assign(multiplier=[1e-3, *[-0.263] * (len(frame) - 1)]) for frame in group.frames]
    sentence = analysis.smoothness_by_layer([replace(group, frames=tuple(still))]).sentence
    assert f"The multiplier of {group.label} is the same at every step from the second on" in sentence


@pytest.mark.parametrize("combinations", [(("fp32", 32),), (("qat", 8),)])
def test_networks_without_a_bound_or_an_error_draw_none(combinations: tuple[tuple[str, int], ...]) -> None:
    info = analysis.smoothness_by_layer([layers(combinations=combinations, seeds=1)])
    full = combinations[0][0] == "fp32"
    assert len(info.energies) == 1
    assert (not info.errors, not info.twins) == (full, full)
    assert not info.multipliers
    assert ("quantizers off" in info.sentence) != full


def test_runs_from_before_say_so() -> None:
    assert analysis.smoothness_by_layer([]).sentence == OLD
