"""`python -m dqviz.jobs RUN_ID ATTEMPT`: one attempt at one run, then the process ends."""

from __future__ import annotations

import sys

from dqviz.runs.job import Job
from dqviz.spec import MeasureSpec


def main(run_id: str, attempt: str) -> int:
    """Exit code 0 when the run finished, 1 when it ended in another state (the ledger says why)."""
    with Job.open(run_id, int(attempt)) as job:
        if isinstance(job.spec, MeasureSpec):
            from dqviz.jobs import measure

            measure.run(job)
        else:
            from dqviz.jobs import train

            train.run(job)
    return 0 if job.state == "finished" else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
