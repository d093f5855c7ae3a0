"""Checkpoints: everything a killed training needs to go on as if nothing had happened."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch


def save(path: Path, state: dict[str, Any]) -> None:
    """Writes beside, then renames: a kill leaves the old checkpoint or the new one, never half of one."""
    beside = path.with_suffix(".new")
    torch.save(state | {"rng": torch.get_rng_state()}, beside)
    with beside.open("rb") as file:
        os.fsync(file.fileno())
    beside.replace(path)


def load(path: Path | None) -> dict[str, Any] | None:
    """The last checkpoint, with torch's generator set back to it, or None where there is none."""
    if path is None or not path.exists():
        return None
    state: dict[str, Any] = torch.load(path, weights_only=True)
    torch.set_rng_state(state.pop("rng"))
    return state
