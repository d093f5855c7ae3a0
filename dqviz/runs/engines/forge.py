"""The worker's side of a forge (dqviz.runs.forging): orders to it, births from it, and what becomes of them if it dies.

A forge serves one program, one environment and one state of the code; anything else gets a new one. It holds nothing
that matters: when it is killed its children go on (their locks tell), and orders it has not carried out are started
without it.
"""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dqviz.runs.catalogue import code_digest
from dqviz.runs.forging import MESSAGE_BYTES
from dqviz.runs.job import MEMORY_BYTES
from dqviz.runs.rows import Claim

PATIENCE_S = 60.0
"""A forge that has not answered an order for so long (it imports for 3 s) is given up."""
ANSWER_S = 5.0
IDLE_S = 30.0
"""How long a forge without work is kept: it holds 0.4 GB."""


@dataclass(frozen=True)
class Order:
    """A job to start. `lock` is the locked descriptor that its process takes over."""

    claim: Claim
    command: tuple[str, ...]
    environment: dict[str, str]
    lock: int
    note: dict[str, Any]


class Forge:
    """One forge process. `orders`: not yet born; `children`: born and not yet waited for."""

    def __init__(self, command: Sequence[str], environment: dict[str, str]) -> None:
        self.orders: dict[tuple[str, int], Order] = {}
        self.children: set[int] = set()
        self.alive = True
        self.fruitful = False
        self._busy = time.monotonic()
        self._born: list[tuple[Order, int | None]] = []
        self._link, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [*command, "--forge", str(theirs.fileno())],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                env=environment, pass_fds=(theirs.fileno(),), start_new_session=True,
            )  # fmt: skip

    def start(self, order: Order) -> bool:
        """Sends an order; False when the forge is dead. The caller keeps `order.lock` until the birth is heard of."""
        limits = {name: order.environment[name] for name in (MEMORY_BYTES,) if name in order.environment}
        message = {"key": order.claim.key, "variables": limits, "note": order.note}
        with order.claim.log.open("ab") as log:
            sent = self._send(message, [order.lock, log.fileno()])
        if sent:
            self.orders[order.claim.key] = order
            self._busy = time.monotonic()
        return sent

    def births(self) -> list[tuple[Order, int | None]]:
        """Orders carried out since the last call, with the number of the process (None: it could not be forked)."""
        while self._receive(0.0):
            pass
        if self.orders and time.monotonic() - self._busy > PATIENCE_S:
            self.close()
        born, self._born = self._born, []
        return born

    def wait(self, pid: int) -> dict[str, Any]:
        """Status and peak memory of a child, after all of its session was ended; {} when that cannot be known."""
        self.children.discard(pid)
        if not self.alive or not self._send({"wait": pid}):
            return {}
        deadline = time.monotonic() + ANSWER_S
        while (answer := self._receive(deadline - time.monotonic())) is not None:
            if answer.get("pid") == pid and "status" in answer:
                self._busy = time.monotonic()
                return answer
        self.close()  # it hangs, or is dead
        return {}

    @property
    def idle_s(self) -> float:
        return 0.0 if self.orders or self.children else time.monotonic() - self._busy

    def close(self) -> None:
        """Ends the forge, not its children. Births it has told of are still heard."""
        self._process.kill()
        self._process.wait()
        while self.alive and self._receive(0.0):
            pass
        self.alive = False
        self._link.close()

    def _send(self, message: dict[str, Any], descriptors: Sequence[int] = ()) -> bool:
        self._link.settimeout(ANSWER_S)
        try:
            socket.send_fds(self._link, [json.dumps(message).encode()], descriptors)
        except OSError:
            self.close()
            return False
        return True

    def _receive(self, timeout_s: float) -> dict[str, Any] | None:
        """One message, None when there is none in time or never again; births are kept for `births`."""
        if not self.alive:
            return None
        self._link.settimeout(max(0.0, timeout_s))
        try:
            data = self._link.recv(MESSAGE_BYTES)
        except (BlockingIOError, TimeoutError):
            return None
        except OSError:
            data = b""
        if not data:
            self.alive = False
            return None
        message: dict[str, Any] = json.loads(data)
        if "key" in message:
            self._note_birth(tuple(message["key"]), message["pid"])
        return message

    def _note_birth(self, key: Any, pid: int | None) -> None:
        self._born.append((self.orders.pop(key), pid))
        self.fruitful = True
        if pid is not None:
            self.children.add(pid)


class Forges:
    """The forge for what is asked now, and older ones that still have children."""

    def __init__(self) -> None:
        self._kept: dict[object, Forge] = {}
        self._barren: set[object] = set()  # died before the first birth: what they import is broken, or has threads

    def take(self, order: Order) -> bool:
        """False: start this job without a forge."""
        known = {name: value for name, value in order.environment.items() if name != MEMORY_BYTES}
        key = (order.command, frozenset(known.items()), code_digest())
        if key in self._barren:
            return False
        forge = self._kept.pop(key, None)
        try:
            self._kept[key] = forge = forge or Forge(order.command, known)  # the newest comes last
        except OSError:
            return False
        return forge.start(order)

    def hear(self) -> tuple[list[tuple[Order, int, Forge]], list[Order]]:
        """Births since the last call, and orders that will not be carried out. Ends forges that are not needed."""
        born: list[tuple[Order, int, Forge]] = []
        lost: list[Order] = []
        for key, forge in list(self._kept.items()):
            for order, pid in forge.births():
                born += [] if pid is None else [(order, pid, forge)]
                lost += [order] if pid is None else []
            newest = key == next(reversed(self._kept))
            if not forge.alive or forge.idle_s > (IDLE_S if newest else 0):
                del self._kept[key]
                lost += self._end(key, forge)
        return born, lost

    def close(self) -> tuple[list[tuple[Order, int, Forge]], list[Order]]:
        """As `hear`, after all forges are ended."""
        for forge in self._kept.values():
            forge.close()
        return self.hear()

    def _end(self, key: object, forge: Forge) -> list[Order]:
        forge.close()
        if not forge.fruitful:
            self._barren.add(key)
        lost = list(forge.orders.values())
        forge.orders.clear()
        return lost
