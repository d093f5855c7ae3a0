"""`python -m dqviz.jobs RUN_ID ATTEMPT`: one attempt at one run, then the process ends.

`python -m dqviz.jobs --forge DESCRIPTOR` is started by a worker only: it imports all that a training needs and forks a
process for each run (dqviz.runs.forging).
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from dqviz.runs.forging import serve
from dqviz.runs.job import Job
from dqviz.spec import MeasureSpec


def main(run_id: str, attempt: str) -> int:
    """Exit code 0 when the run finished, 1 when it ended in another state (the ledger says why)."""
    with Job.open(run_id, int(attempt)) as job:
        if isinstance(job.spec, MeasureSpec):
            with uncollected():
                from dqviz.jobs import measure
            measure.run(job)
        else:
            with uncollected():
                from dqviz.jobs import train
            train.run(job)
    return 0 if job.state == "finished" else 1


def forge(descriptor: str) -> int:
    """Imports what trainings import, at the start or late (their data set, their first table), and serves."""
    with uncollected():
        import pyarrow.pandas_compat
        import pyarrow.parquet  # noqa: F401

        from dqviz.data import DATASETS  # noqa: F401
        from dqviz.jobs import train  # noqa: F401

    serve(int(descriptor), main)
    return 0


@contextmanager
def uncollected() -> Iterator[None]:
    """No garbage collection in the body: torch and its friends import in 2.7 s in place of 3.6."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


if __name__ == "__main__":
    sys.exit(forge(sys.argv[2]) if sys.argv[1] == "--forge" else main(*sys.argv[1:]))
