"""The Train form: what is refused is one sentence and stores nothing; what is accepted is queued once."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from dqviz.runs.ledger import Ledger
from dqviz.runs.uploads import uploads

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def form(fresh: Path) -> AppTest:
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=120)
    app.query_params["dataset"] = "karate"
    return app.switch_page("pages/train.py").run()


def refusal(app: AppTest) -> str:
    """The one sentence the form shows; nothing can be started and nothing is stored."""
    assert not app.exception
    assert [error.value for error in app.error], "nothing was refused"
    assert not [button for button in app.button if button.key == "start"]
    assert Ledger().studies() == []
    return str(app.error[0].value)


def test_a_negative_learning_rate_is_refused(form: AppTest) -> None:
    form.number_input(key="set-optimizer-lr").set_value(-1.0)
    assert "lr" in refusal(form.run())


def test_a_lower_probability_above_the_upper_one_is_refused(form: AppTest) -> None:
    form.number_input(key="set-method-dq-p_min").set_value(0.9)
    assert "must not be above" in refusal(form.run()).replace("\\", "")


def test_an_empty_list_of_methods_is_refused(form: AppTest) -> None:
    form.get("button_group")  # pills
    form.session_state["methods"] = []
    assert "method" in refusal(form.run())


def test_no_epochs_are_refused(form: AppTest) -> None:
    form.number_input(key="epochs").set_value(0)
    assert "epochs" in refusal(form.run())


def test_more_than_two_thousand_runs_ask_first(form: AppTest) -> None:
    form.number_input(key="seeds").set_value(500)
    app = form.run()
    assert app.button(key="start").disabled
    app.checkbox[0].check().run()
    assert not app.button(key="start").disabled
    assert Ledger().studies() == []


def test_a_study_is_queued_and_its_progress_is_shown(form: AppTest) -> None:
    form.number_input(key="epochs").set_value(5)
    app = form.run().button(key="start").click().run()
    assert not app.exception
    rows = Ledger().runs()
    assert len(rows) == 15, "five cells, three seeds: the fewest that have an interval"
    assert {row.state for row in rows} == {"queued"}
    assert app.session_state["view"] == "Progress"
    app.button(key="start") if any(button.key == "start" for button in app.button) else None
    assert any("Waiting for a worker" in caption.value for caption in app.caption)


def test_a_preset_is_described_and_counted(form: AppTest) -> None:
    form.session_state["preset"] = "Degree-Quant table, Cora"
    app = form.run()
    assert not app.exception
    assert any(metric.value == "390" for metric in app.metric)


def test_an_upload_is_refused_in_one_sentence_and_stores_nothing(form: AppTest) -> None:
    form.file_uploader(key="upload").set_value([("graph.npz", b"not a zip file", "application/octet-stream")])
    app = form.run().button(key="upload-read").click().run()
    assert not app.exception
    assert len(app.error) == 1
    assert uploads() == []


def test_an_upload_becomes_a_data_set_of_the_form(form: AppTest) -> None:
    """A ring of twelve nodes with two classes."""
    node = np.arange(12)
    part = node % 3
    content = io.BytesIO()
    np.savez(content, edge_index=np.stack([node, (node + 1) % 12]), x=np.eye(12, dtype=np.float32), y=node % 2,
             train_mask=part == 0, val_mask=part == 1, test_mask=part == 2)  # fmt: skip
    form.file_uploader(key="upload").set_value([("ring.npz", content.getvalue(), "application/octet-stream")])
    app = form.run().button(key="upload-read").click().run()
    assert not app.exception
    assert not app.error
    assert "ring" in app.selectbox(key="dataset").value
    assert any("**12** nodes" in text.value for text in app.markdown)
