"""`make times`: script time of every page on a ledger of 300 finished runs, and of the fragment that shows progress."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
SEEDS, REPEATS = 60, 15


def main() -> None:
    """Prints JSON: milliseconds of a warm rerun by page, and of drawing two running jobs."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["DQVIZ_HOME"] = folder
        sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "report")]
        found = {"runs": fill(Path(folder)), "pages": pages(), "progress fragment": fragment()}
    print(json.dumps(found, indent=2))


def fill(home: Path) -> int:
    """FP32, QAT and Degree-Quant in INT8 and INT4, 60 seeds: 300 finished runs with all their tables."""
    from report_ledger import make

    from dqviz.runs.catalogue import catalogue
    from dqviz.spec import RunSpec, Study

    catalogue()
    kinds = [("fp32", 32), ("qat", 8), ("qat", 4), ("dq", 8), ("dq", 4)]
    runs = tuple(RunSpec(dataset="cora", arch="gcn", method=method, bits=bits, seed=seed, epochs=5)
                 for method, bits in kinds for seed in range(SEEDS))  # fmt: skip
    store, study_id = make(home, Study(name="Three hundred runs", runs=runs))
    return len(store.ledger.runs(study_id, ["finished"]))


def pages() -> dict[str, dict[str, float]]:
    from streamlit.testing.v1 import AppTest

    from dqviz.ui.nav import PAGES

    found = {}
    for page in PAGES:
        app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=120).switch_page(page.script).run()
        if app.exception:
            raise SystemExit(f"{page.url}: {app.exception[0].value}")
        found[page.url] = spread([timed(app.run) for _ in range(REPEATS)])
    return found


def fragment() -> dict[str, float]:
    """Two runs claimed and running; the fragment reads the ledger and draws them."""
    from streamlit.testing.v1 import AppTest

    from dqviz.runs.ledger import Ledger
    from dqviz.spec import RunSpec, Study

    ledger = Ledger()
    runs = [RunSpec(dataset="cora", arch="gin", method="dq", bits=8, seed=seed, epochs=200) for seed in (0, 1)]
    ledger.submit(Study(name="Two running", runs=tuple(runs)))
    while ledger.claim("times", free=10_000):
        pass
    app = AppTest.from_function(draw).run()
    return spread([app.run().session_state["fragment-ms"] for _ in range(REPEATS)])


def draw() -> None:
    """What the sidebar's fragment does every three seconds."""
    import time

    import streamlit as st

    from dqviz.ui.jobs import _jobs, _states, active

    st.session_state["jobs-seen"] = _states(active())
    begin = time.perf_counter()
    _jobs()
    st.session_state["fragment-ms"] = (time.perf_counter() - begin) * 1e3


def timed(run: object) -> float:
    begin = time.perf_counter()
    run()  # type: ignore[operator]
    return (time.perf_counter() - begin) * 1e3


def spread(values: list[float]) -> dict[str, float]:
    p50, p95 = np.percentile(values, (50, 95))
    return {"median_ms": round(float(p50), 1), "p95_ms": round(float(p95), 1)}


if __name__ == "__main__":
    main()
