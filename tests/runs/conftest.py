"""Each test of runs has a home and a ledger of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dqviz.runs import steps
from dqviz.runs.ledger import Ledger


@pytest.fixture
def ledger(home: Path) -> Iterator[Ledger]:
    opened = Ledger()
    yield opened
    opened.close()


@pytest.fixture(autouse=True)
def _no_failpoint_left() -> Iterator[None]:
    yield
    steps.install(None)
