"""What becomes of a run whose process has ended without saying how: decided from what lies on disk."""

from __future__ import annotations

import json
import shutil

from dqviz.runs import artifacts, memory
from dqviz.runs.engines.base import Ended
from dqviz.runs.ledger import Ledger
from dqviz.runs.rows import Claim


def settle(ledger: Ledger, ended: Ended) -> str | None:
    """Writes the end of a dead attempt; None when the job has written it itself. Raises Stale, Unavailable."""
    claim = ledger.held(ended.claim.run_id, ended.claim.attempt)
    if claim is None:
        return None
    if not artifacts.verify(claim.artifacts):  # it died after the rename: everything is there
        summary = json.loads((claim.artifacts / "summary.json").read_text(encoding="utf-8"))
        ledger.finish(claim, summary, ended.peak_bytes)
        return "finished"
    _sweep(claim)
    if claim.cancel:
        return ledger.cancelled(claim, ended.peak_bytes)
    if ended.killed_for_memory:
        peak = memory.in_words(ended.peak_bytes)
        ledger.fail(claim, f"out of memory: killed by the kernel, the job's peak was {peak}", ended.peak_bytes)
        return "failed"
    if ended.code is not None and ended.code > 0:
        ledger.fail(claim, f"{ended.in_words}{_last_line(claim)}", ended.peak_bytes)
        return "failed"
    return ledger.interrupt(claim, ended.in_words, ended.peak_bytes)


def _sweep(claim: Claim) -> None:
    """Removes half-written results; nobody but the dead process could have gone on with them."""
    for folder in claim.folder.glob(f".{claim.artifacts.name}.staging-*"):
        shutil.rmtree(folder, ignore_errors=True)


def _last_line(claim: Claim) -> str:
    try:
        lines = claim.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    except OSError:
        return ""
    return f" Its last words: {lines[-1][:300]}" if lines else ""
