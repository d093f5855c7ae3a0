"""One of several processes that claim jobs: `claimer.py ledger|naive NUMBER DATABASE`; prints what it got."""

from __future__ import annotations

import json
import sqlite3
import sys
import time

from dqviz.errors import Unavailable
from dqviz.runs.ledger import Ledger


def properly(database: str, name: str) -> tuple[list[str], int]:
    ledger, got, errors = Ledger(f"sqlite:///{database}"), [], 0
    while True:
        try:
            claim = ledger.claim(name, free=10_000)
        except Unavailable:
            errors += 1
            continue
        if claim is None:
            return got, errors
        got.append(claim.run_id)


def naively(database: str, name: str) -> tuple[list[str], int]:
    """The negative control: look, then take."""
    connection, got, errors = sqlite3.connect(database, timeout=30, isolation_level=None), [], 0
    while True:
        row = connection.execute("SELECT run_id FROM runs WHERE state = 'queued' ORDER BY seq LIMIT 1").fetchone()
        if row is None:
            connection.close()
            return got, errors
        time.sleep(0.0005)
        try:
            connection.execute("UPDATE runs SET state = 'running', worker = ? WHERE run_id = ?", (name, row[0]))
            got.append(row[0])
        except sqlite3.OperationalError:
            errors += 1


if __name__ == "__main__":
    how, number, path = sys.argv[1:]
    sys.stdin.readline()  # all start together
    claims, locked = (properly if how == "ledger" else naively)(path, f"claimer {number}")
    print(json.dumps({"claims": claims, "lock_errors": locked}))
