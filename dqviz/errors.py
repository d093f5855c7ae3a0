"""What goes wrong, in words a person can act on. Every message is one sentence."""

from __future__ import annotations

from collections.abc import Iterable


class DqvizError(Exception):
    """Anything dqviz refuses or could not finish; the message is meant for a person."""


class BadInput(DqvizError):
    """A person's input cannot be used (exit code 2 on the command line); nothing was stored or started."""


class Diverged(DqvizError):
    """The loss became NaN or infinite; the run is failed and never ranked."""


class Cancelled(DqvizError):
    """A cooperative cancel was seen between two epochs."""


class Stale(DqvizError):
    """A write came from an attempt that no longer holds the run (FAULTS.md: a stopped worker wakes up)."""


class Unavailable(DqvizError):
    """Something that is optional or external is not here (a browser, a data set, a compiler)."""


def unknown(kind: str, name: object, choices: Iterable[str]) -> BadInput:
    """The one sentence for a name nobody registered: it lists the choices."""
    return BadInput(f"Unknown {kind} {name!r}; choose one of: {', '.join(sorted(choices))}.")
