"""The Latency page says what the measurement told about itself: no compiler, what was left out, a busy machine."""

from __future__ import annotations

from pathlib import Path

from report_ledger import measure
from streamlit.testing.v1 import AppTest

from dqviz.runs.job import Job
from dqviz.runs.ledger import Ledger
from dqviz.spec import MeasureSpec

ROOT = Path(__file__).resolve().parents[2]
ABOUT = {"native": "native kernels: not built (no compiler)", "notes": ["ONNX Runtime: not installed (onnx)."],
         "cpu": "A processor", "busy": True}  # fmt: skip


def test_a_timing_without_native_kernels_says_so(filled: Path) -> None:
    ledger = Ledger()
    target = next(row.run_id for row in ledger.runs() if row.kind == "train" and row.state == "finished")
    ledger.submit_measure(MeasureSpec(target=target, repeats=50))
    claim = ledger.claim("test", free=99)
    assert claim is not None
    with Job.open(claim.run_id, claim.attempt, ledger) as job:
        measure(job, ABOUT)
    name = next(row for row in ledger.runs() if row.run_id == target)
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    app.query_params["run"] = f"{name.arch.upper()} {name.method.upper()} {name.bits_label}, cora, seed {name.seed}"
    app.switch_page("pages/latency.py").run()
    assert not app.exception
    told = " ".join(caption.value for caption in app.caption).replace("\\", "")
    assert "A processor; native kernels: not built (no compiler), integer kernels of this timing: numba" in told
    assert "ONNX Runtime: not installed (onnx)." in told
    assert any("timed on a busy computer" in str(part.value) for part in app.markdown)
    assert any("INT8 is faster in 1 comparison of a whole network" in part.value for part in app.markdown)
