"""The fake job as a module that knows `--forge`: `python -m forged_job`. FORGE_FAULT says how the forge misbehaves."""

from __future__ import annotations

import os
import sys
import threading
import time

import fake_job

from dqviz.runs.forging import serve

FAULT = os.environ.get("FORGE_FAULT", "")


def main(run_id: str, attempt: str) -> int:
    return fake_job.main(run_id, int(attempt))


def forge(descriptor: str) -> None:
    if FAULT == "broken":
        raise ImportError("what it imports is not there")
    if FAULT == "threads":
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
    if FAULT == "hangs":
        time.sleep(3600)
    serve(int(descriptor), main)


if __name__ == "__main__":
    sys.exit(forge(sys.argv[2]) if sys.argv[1] == "--forge" else main(*sys.argv[1:]))
