"""Parts of the browser side that need no browser: CSV, forms from schemas, estimates, names, plans."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dqviz import naming
from dqviz.errors import BadInput
from dqviz.runs.catalogue import Catalogue, read_catalogue
from dqviz.runs.home import assets_dir
from dqviz.runs.rows import RunRow
from dqviz.spec import RunSpec, Study
from dqviz.ui import names
from dqviz.ui.estimate import duration, estimate
from dqviz.ui.facts import SHIPPED, cached_at, run_facts
from dqviz.ui.glossary import TERMS
from dqviz.ui.plan import Draft, build, needs_consent
from dqviz.ui.schema import label_of, resolve
from dqviz.ui.table import FORMULA_STARTS, headings, neutral, to_csv

KNOWN = {"title": "Learning rate", "minimum": 0, "type": "number", "default": 0.1}
DQ = {
    "properties": {"p_min": {"type": "number", "default": 0.0}, "p_max": {"type": "number", "default": 0.1}},
    "x-ascending": [["p_min", "p_max"]],
}


@pytest.fixture
def known() -> Catalogue:
    plain = {"summary": "", "schema": {"properties": {}}}
    return read_catalogue({
        "datasets": [{"name": "karate", **plain}], "archs": [{"name": "gcn", **plain}, {"name": "gin", **plain}],
        "methods": [{"name": "fp32", **plain}, {"name": "dq", "summary": "", "schema": DQ}],
    })  # fmt: skip


def draft(**changes: object) -> Draft:
    values: dict[str, object] = {"name": "mine", "dataset": "karate", "archs": ["gcn"], "methods": ["fp32", "dq"],
                                 "bits": [8, 4], "seeds": 2, "epochs": 5, "profile": "integer"}  # fmt: skip
    return Draft(**(values | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("start", FORMULA_STARTS)
def test_a_cell_that_a_spreadsheet_would_run_is_neutralised(start: str) -> None:
    text = to_csv(pd.DataFrame({f"{start}head": [f"{start}1+1"], "number": [-1.5]})).decode()
    head, row = csv.reader(io.StringIO(text, newline=""))
    assert (head[0], row[0]) == (f"'{start}head", f"'{start}1+1")
    assert float(row[1]) == -1.5


@given(st.one_of(st.integers(), st.floats(allow_nan=False), st.booleans(), st.none()))
def test_numbers_are_not_touched(cell: object) -> None:
    assert neutral(cell) is cell


@given(st.text())
def test_a_persons_text_shows_and_does_nothing(text: str) -> None:
    shown = names.plain(text)
    assert all(shown[at - 1] == "\\" for at, letter in enumerate(shown) if letter in "[]<>!`$" and at)


def test_headings_carry_label_and_unit() -> None:
    heading = headings(pd.DataFrame(columns=["median_ms", "run", "own_thing"]))
    assert [heading[name]["label"] for name in heading] == ["Median time (ms)", "Run", "Own thing"]


def test_a_schema_field_is_resolved_through_references_and_null() -> None:
    schema = {"$defs": {"Mode": {"enum": ["a", "b"], "type": "string"}}}
    assert resolve({"$ref": "#/$defs/Mode", "default": "a"}, schema)["enum"] == ["a", "b"]
    assert resolve({"anyOf": [{"type": "null"}, KNOWN], "default": None}, schema)["type"] == "number"


def test_settings_are_labelled_in_words() -> None:
    labels = [label_of(name) for name in ("lr", "bits_lr", "memory_kb", "p_max", "weight_decay", "finetune")]
    assert labels == ["Learning rate", "Bits learning rate", "Memory KB", "p_max", "Weight decay", "Fine-tuning share"]


def test_sites_are_named_by_layer_and_kind() -> None:
    assert naming.split_key("0/mlp1/weight") == (0, "mlp1", "weight")
    assert naming.site_name("1/aggregate") == "Aggregate, layer 1"
    assert naming.place("1/aggregate") == "the aggregate of layer 1"
    assert naming.place("0/mlp1/weight") == "the weights (mlp1) of layer 0"
    assert (naming.place("output"), naming.place("")) == ("output", "no site")
    assert names.unique(["a", "b", "a"], ["111111x", "2", "333333y"]) == ["a (111111)", "b", "a (333333)"]


def test_a_run_is_called_as_its_line_in_a_chart() -> None:
    spec = RunSpec(dataset="cora", arch="gcn", method="nqat", bits=4, seed=2)
    assert names.run_name(RunRow("0", "train", "finished", spec, Path())) == "GCN nQAT INT4, cora, seed 2"
    full = spec.model_copy(update={"method": "fp32", "bits": 32})
    assert names.network_name(RunRow("0", "train", "finished", full, Path())) == "GCN FP32"


def test_an_estimate_uses_measured_epochs_and_says_what_it_does_not_know() -> None:
    runs = [RunSpec(dataset="karate", arch="gcn", method="qat", seed=seed, epochs=100) for seed in range(4)]
    other = RunSpec(dataset="karate", arch="gin", method="qat", epochs=100)
    row = {"run_id": runs[0].digest, "dataset": "karate", "arch": "gcn", "method": "qat", "epoch_ms_median": 100.0}
    cost = estimate(Study(name="s", runs=(*runs, other)), [row], slots=2)
    assert (cost.done, cost.known, cost.unknown) == (1, 3, 1)
    assert cost.seconds == pytest.approx(3 * 100 * 0.1 / 2)
    assert "1 of the runs" in cost.reason
    assert estimate(Study(name="s", runs=(other,)), [row]).text == "unknown"


def test_durations_are_written_in_the_largest_fitting_unit() -> None:
    assert [duration(s) for s in (0.2, 40, 200, 3600 * 2.1)] == ["1 s", "40 s", "3 min", "2 h 6 min"]


def test_a_plan_is_the_product_with_full_precision_once(known: Catalogue) -> None:
    study = build(draft(archs=["gcn", "gin"]), known)
    assert len(study.runs) == 2 * 2 * (1 + 2)
    assert not needs_consent(study)
    assert needs_consent(build(draft(seeds=700), known))


@pytest.mark.parametrize(("changes", "words"), [
    ({"archs": []}, "architecture"),
    ({"methods": []}, "method"),
    ({"bits": []}, "bit width"),
    ({"bits": [5]}, "choose one of 2, 3, 4, 8, 16, 32"),
    ({"seeds": 0}, "seed"),
    ({"epochs": 0}, "epochs"),
    ({"name": "  "}, "name"),
    ({"dataset": "nothing"}, "karate"),
    ({"methods": ["dq", "magic"]}, "choose one of"),
    ({"optimizer": {"lr": -1.0}}, "lr"),
    ({"settings": {"dq": {"p_min": 0.5}}}, "p_min must not be above p_max"),
])  # fmt: skip
def test_bad_input_is_one_sentence(known: Catalogue, changes: dict[str, object], words: str) -> None:
    with pytest.raises(BadInput) as refused:
        build(draft(**changes), known)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_shipped_facts_are_what_the_command_prints() -> None:
    made = run_facts([sys.executable, "-m", "dqviz", "facts", "karate", "--json"])
    assert json.loads((assets_dir() / "facts" / "karate.json").read_text()) == made
    assert all((assets_dir() / "facts" / f"{name}.json").is_file() for name in SHIPPED)


def test_the_sentence_of_the_facts_command_reaches_the_page() -> None:
    with pytest.raises(BadInput, match="choose one of"):
        run_facts([sys.executable, "-m", "dqviz", "facts", "no-such-set", "--json"])


def test_a_data_sets_name_is_never_a_path() -> None:
    folder = cached_at("karate", ()).parent
    assert {cached_at(name, ()).parent for name in ("../../x", "C:\\x", "a/b", "\0")} == {folder}


def test_every_glossary_entry_is_short_and_ends_in_a_sentence() -> None:
    assert all(len(text) < 400 and text.endswith(".") for text in TERMS.values())


def test_the_web_side_does_not_import_torch() -> None:
    code = "import dqviz.ui, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=120).returncode == 0
