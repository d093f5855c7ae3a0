"""The steps of saving a result, named, so that a test can stop or break the program before and after each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

NAMES = ("write", "fsync", "manifest", "rename", "folder", "verify", "commit")
STEPS = tuple(f"{name}:{side}" for name in NAMES for side in ("before", "after"))

_hooks: list[Callable[[str], None]] = []


def install(hook: Callable[[str], None] | None) -> None:
    """Calls `hook` with the name of each point that is reached from now on (tests only); None removes it."""
    _hooks[:] = [] if hook is None else [hook]


@contextmanager
def step(name: str) -> Iterator[None]:
    """Marks the body as one step of saving."""
    _reach(f"{name}:before")
    yield
    _reach(f"{name}:after")


def _reach(point: str) -> None:
    for hook in _hooks:
        hook(point)
