"""One finished study for all tests of the report."""

from __future__ import annotations

import pytest
from report_ledger import Made, make, study

from dqviz.report import gather


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Nine finished runs and one that failed."""
    runs = study()
    store, study_id = make(tmp_path_factory.mktemp("report"), runs, fail=[runs.runs[0].digest])
    return Made(store, study_id, gather(store, study_id))
