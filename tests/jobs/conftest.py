"""One thread; and a few whole runs, each executed once for all tests that look at it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from jobs_runs import execute, spec

from dqviz.runs.rows import RunRow

torch.set_num_threads(1)
Run = Callable[..., RunRow]


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """run(arch, method, ...) -> the row of a finished run; the same arguments give the same run."""
    known: dict[str, RunRow] = {}
    folder = tmp_path_factory.mktemp("jobs-home")

    def finished(arch: str, method: str, **values: object) -> RunRow:
        wanted = spec(arch, method, **values)
        if wanted.digest not in known:
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("DQVIZ_HOME", str(folder))
                known[wanted.digest] = execute(wanted)
        row = known[wanted.digest]
        assert row.state == "finished", row.error
        return row

    return finished
