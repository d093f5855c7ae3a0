"""The forge: a process that has imported a job's program once and forks it for each run.

Importing torch, torch_geometric and the rest takes about 3 s of processor time, as 200 epochs on Cora do. A fork of a
process that has imported them takes 0.01 s, and the pages that hold them are shared. Each run still is a process of its
own: own session, own lock, own log, own limit and peak of memory. A forge imports and waits, it never computes, so that
it has one thread when it forks (a lock held by another thread would stay held in the child for ever).

Messages are JSON over a socket that keeps their borders; descriptors of lock and log travel with them (SCM_RIGHTS):

    {"key": [run_id, attempt], "variables": {...}, "note": {...}}   start   ->  {"key": ..., "pid": number or null}
    {"wait": pid}   end all of its session, then wait for it        ->  {"pid": ..., "status": ..., "peak_bytes": ...}
"""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from dqviz.runs import locks
from dqviz.runs.job import LOCK_FD
from dqviz.runs.memory import rusage_peak_bytes

Main = Callable[[str, str], int]
MESSAGE_BYTES = 65_536
TASKS = Path("/proc/self/task")


def serve(descriptor: int, main: Main) -> None:
    """Forks `main(run_id, attempt)` for each message until the worker lets go of the socket or dies.

    Returns at once where there is more than one thread: the worker then starts its jobs without a forge.
    """
    with socket.socket(fileno=descriptor) as link:
        if len(list(TASKS.iterdir())) > 1:
            return
        gc.freeze()  # collections in the children leave the pages of what was imported alone
        while True:
            data, descriptors, _, _ = socket.recv_fds(link, MESSAGE_BYTES, 2)
            if not data:
                return
            message = json.loads(data)
            answer = _wait(message["wait"]) if "wait" in message else _start(message, descriptors, link, main)
            with suppress(OSError):  # a worker that has died hears no more, but its orders are carried out
                link.send(json.dumps(answer).encode())


def _start(message: dict[str, Any], descriptors: Sequence[int], link: socket.socket, main: Main) -> dict[str, Any]:
    pid: int | None = None
    with suppress(OSError):  # no memory or no number left: the worker hears of it
        pid = os.fork()
    if pid == 0:
        os._exit(_child(message, descriptors, link, main))
    for descriptor in descriptors:
        os.close(descriptor)  # only the child's copy keeps the lock
    return {"key": message["key"], "pid": pid}


def _child(message: dict[str, Any], descriptors: Sequence[int], link: socket.socket, main: Main) -> int:
    """The run: what a program started anew would find, then `main`. Its exit code."""
    try:
        link.close()
        lock, log = descriptors
        os.setsid()
        _redirect(log)
        locks.write_note(lock, message["note"] | {"pid": os.getpid()})
        os.environ.update(message["variables"] | {LOCK_FD: str(lock)})
        return main(*map(str, message["key"]))
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - the last frame of a process: what is raised here becomes its exit code
        traceback.print_exc()
        return 1
    finally:
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()


def _redirect(log: int) -> None:
    """Nothing on standard input, the log for standard output and errors."""
    null = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((null, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    os.close(null)
    os.close(log)


def _wait(pid: int) -> dict[str, Any]:
    """How a child ended, after whatever it had started is ended too; its number is ours until we wait."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    try:
        _, status, usage = os.wait4(pid, 0)
    except ChildProcessError:
        return {"pid": pid, "status": None, "peak_bytes": None}
    return {"pid": pid, "status": status, "peak_bytes": rusage_peak_bytes(usage, 0)}
