"""A worker as a program, with the fake job: what `python -m dqviz worker` does with real ones."""

from __future__ import annotations

import logging
import os
import sys

from runs_tools import FAKE, FORGED

from dqviz.runs.worker import main_loop

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    command = FORGED if os.environ.get("FORGED") else FAKE
    sys.exit(0 if main_loop(command=command, slots=4, patient=bool(os.environ.get("PATIENT"))) else 7)
