"""Every page of the navigation runs: title, content, no exception; with nothing trained and with a finished study."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from dqviz.ui.nav import PAGES, Entry

ROOT = Path(__file__).resolve().parents[2]
ONCE = pytest.mark.parametrize("entry", PAGES, ids=[entry.url for entry in PAGES])
TABS = {
    "error_by_degree": (
        "Rounding and clipping",
        "Growth",
        "Accuracy and flips",
        "Gradient",
        "Smoothness",
        "All sites",
        "Worst nodes",
    ),
    "ranges": ("By degree", "Levels used", "Over epochs", "After aggregation"),
    "protection": ("A mask on the graph", "Measured in training"),
    "latency": ("By operation", "Bytes and bandwidth", "Size of the graph", "Memory"),
    "compare": ("Paired differences", "Accuracy against cost", "Accuracy by degree", "One site at fewer bits", "Depth"),
    "report": ("Export", "Preview"),
}


def opened(entry: Entry, **query: str) -> AppTest:
    """The page as the router shows it."""
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    for name, value in query.items():
        app.query_params[name] = value
    return app.switch_page(entry.script).run()


def content(app: AppTest) -> int:
    """How much a page shows besides its title and question."""
    kinds = ("plotly_chart", "metric", "button", "markdown", "selectbox", "button_group", "arrow_data_frame")
    return sum(len(app.get(kind)) for kind in kinds) - 1


@ONCE
def test_a_page_without_any_study_says_what_to_do(entry: Entry, fresh: Path) -> None:
    app = opened(entry)
    assert not app.exception
    assert [title.value for title in app.title] == [entry.title]
    assert entry.question in app.markdown[0].value
    assert content(app) > 0
    assert not app.error


@ONCE
def test_a_page_shows_a_finished_study(entry: Entry, filled: Path) -> None:
    app = opened(entry)
    assert not app.exception
    assert not app.error
    assert content(app) > 3
    if entry.url not in ("train", "report"):
        assert app.get("plotly_chart"), "no chart"
        assert all(len(chart.proto.spec) < 1_000_000 for chart in app.get("plotly_chart"))


@pytest.mark.parametrize(("url", "tab"), [(url, tab) for url, tabs in TABS.items() for tab in tabs])
def test_every_tab_runs(url: str, tab: str, filled: Path) -> None:
    entry = next(page for page in PAGES if page.url == url)
    app = opened(entry, tab=tab)
    assert not app.exception
    assert not app.error


def texts(app: AppTest) -> str:
    return "\n".join(text.value for text in app.markdown)


@pytest.mark.parametrize("layer", [0, 1])
def test_the_worst_nodes_of_every_site_open_their_neighbourhood(layer: int, filled: Path) -> None:
    """Also one that the address names, though it is not among the worst."""
    here = {"tab": "Worst nodes", "layer": f"Layer {layer}", "site": "Aggregate (after the sum)"}
    app = opened(PAGES[2], **here)
    first = app.session_state["node"]
    assert re.search(
        rf"Node {first} has an accumulated error of [^ ]+ at the aggregate of layer {layer} and", texts(app)
    )
    named = opened(PAGES[2], **here, node="0")
    assert not named.error
    assert re.search(rf"Node 0 has an accumulated error of [^ ]+ at the aggregate of layer {layer} and", texts(named))
    assert opened(PAGES[2], **here, node="160").session_state["node"] == first


def captions(app: AppTest) -> str:
    return "\n".join(text.value for text in app.caption)


def test_a_study_is_opened_by_its_id_as_well(fresh: Path) -> None:
    app = opened(next(page for page in PAGES if page.url == "compare"), study="lowbit-latency")
    assert not app.exception
    assert app.session_state["study"] == "Below 8 bits, latency"
    assert "not on this computer" not in captions(app)


def test_a_link_to_a_study_that_is_elsewhere_says_so(fresh: Path) -> None:
    app = opened(PAGES[2], study="My own study")
    assert "“My own study” is not on this computer; this is another study." in captions(app)
    assert "not on this computer" in captions(app.run()), "until another study is chosen"


@pytest.mark.parametrize("arch", ["appnp", "smp"])
def test_a_propagation_is_timed_as_a_whole(arch: str, fresh: Path) -> None:
    run = f"{arch.upper()} QAT INT8, cora, seed 0"
    app = opened(next(page for page in PAGES if page.url == "latency"), study="lowbit-latency", run=run)
    assert not app.exception
    assert app.session_state["run"] == run
    assert f"On {arch} on cora" in texts(app)
    assert "not timed yet" not in "".join(metric.value for metric in app.metric)
    assert not app.get("button"), "its model is elsewhere: there is nothing to time"


def test_a_shipped_run_without_a_timing_is_to_be_trained(fresh: Path) -> None:
    app = opened(next(page for page in PAGES if page.url == "latency"), study="dq-cora")
    assert not app.exception
    assert "train it to time it" in texts(app)


def test_no_browser_no_pdf_button(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    app = opened(next(page for page in PAGES if page.url == "report"))
    assert not app.exception
    assert "A PDF needs Chromium" in texts(app)


def test_runs_from_before_edges_were_kept_say_so(filled: Path) -> None:
    for table in filled.rglob("edges.parquet"):
        table.unlink()
    app = opened(PAGES[2], tab="Worst nodes")
    assert not app.error
    assert "before edges were kept" in texts(app)


def test_runs_from_before_gradients_were_recorded_say_so(fresh: Path) -> None:
    """The demo study is such runs until it is made again."""
    app = opened(PAGES[2], tab="Gradient", study="Demo, digits")
    assert not app.exception
    assert not app.error
    said = any("before gradients were recorded" in text.value for text in app.markdown)
    assert said or len(app.get("plotly_chart")) == 2


def test_runs_from_before_smoothness_was_recorded_say_so(fresh: Path) -> None:
    app = opened(PAGES[2], tab="Smoothness", study="Degree-Quant table, Cora")
    assert not app.exception
    assert not app.error
    said = any("before it was recorded" in text.value for text in app.markdown)
    assert said or len(app.get("plotly_chart")) == 2


def test_a_study_of_one_depth_says_what_to_do(fresh: Path) -> None:
    app = opened(next(page for page in PAGES if page.url == "compare"), tab="Depth", study="Degree-Quant table, Cora")
    assert not app.exception
    assert not app.error
    assert any("differ in depth alone" in text.value for text in app.markdown)


def test_a_study_without_timings_opens_on_a_cost_it_knows(fresh: Path) -> None:
    app = opened(next(page for page in PAGES if page.url == "compare"), tab="Accuracy against cost",
                 study="Below 8 bits, CiteSeer")  # fmt: skip
    assert not app.exception
    assert app.session_state["cost"] == "Model size"


def test_a_study_of_several_depths_shows_them(fresh: Path) -> None:
    from report_ledger import make

    from dqviz.spec import RunSpec, Study

    plain = {"dataset": "cora", "arch": "gcn", "epochs": 2}
    runs = tuple(RunSpec(**plain, method=method, arch_settings={"layers": layers}, seed=seed)
                 for method in ("fp32", "qat") for layers in (2, 64) for seed in (0, 1))  # fmt: skip
    make(fresh, Study(name="Deep", runs=runs))
    app = opened(next(page for page in PAGES if page.url == "compare"), tab="Depth")
    assert app.multiselect(key="runs").value == [
        "FP32 (layers 2)", "FP32 (layers 64)", "QAT INT8 (layers 2)", "QAT INT8 (layers 64)",
    ]  # fmt: skip
    assert any("from 2 to 64 layers" in text.value for text in app.markdown)
    app = opened(PAGES[2], tab="Smoothness")
    assert not app.exception
    assert app.multiselect(key="runs").value == ["QAT INT8 (layers 2)"], "the first depth alone: colour tells methods"
    assert any("Thin lines" in text.value for text in app.markdown)
    assert any("FP32" in chart.proto.spec for chart in app.get("plotly_chart")), "drawn beside, though not chosen"


def test_the_progress_of_a_study_is_shown_with_what_can_be_done(filled: Path) -> None:
    app = opened(PAGES[1], view="Progress")
    assert not app.exception
    labels = [button.label for button in app.button]
    assert "Cancel all" in labels
    assert "Retry all that did not finish (1)" in labels
    assert any("no reason" in error.value for error in app.error)


def test_a_copied_link_shows_the_same_choice(filled: Path) -> None:
    app = opened(PAGES[2], runs="Degree-Quant INT4", metric="MSE")
    assert app.multiselect(key="runs").value == ["Degree-Quant INT4"]
    assert app.selectbox(key="metric").value == "MSE"
    again = opened(PAGES[2], runs="a group that never was")
    assert len(again.multiselect(key="runs").value) == 4


def test_the_url_names_every_choice(filled: Path) -> None:
    app = opened(PAGES[2])
    assert {"study", "runs", "layer", "site", "kind", "metric"} <= set(app.query_params)


def test_the_web_process_never_loads_torch(filled: Path) -> None:
    """All pages in one fresh interpreter, as a server runs them."""
    code = (
        "import sys\n"
        "from streamlit.testing.v1 import AppTest\n"
        "from dqviz.ui.nav import PAGES\n"
        "for page in PAGES:\n"
        f"    app = AppTest.from_file({str(ROOT / 'app.py')!r}, default_timeout=60).switch_page(page.script).run()\n"
        "    assert not app.exception, page\n"
        "sys.exit('torch' in sys.modules)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT), "DQVIZ_HOME": str(filled)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
