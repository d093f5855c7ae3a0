"""Runs that differ only in their seed, as one group with one name: seeds are never listed as separate lines."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from dqviz.analysis.view import FULL_PRECISION
from dqviz.columns import Column
from dqviz.naming import method_label

Row = Mapping[str, Any]
DEFAULT_BITS = 8
"""Of the sites that a map from site to bits does not name (quant.quantize)."""


@dataclass(frozen=True)
class Identity:
    """What a line in a chart stands for. `bits` 0 means a map from site to bits ("mixed")."""

    label: str
    dataset: str
    arch: str
    method: str
    bits: int
    profile: str


@dataclass(frozen=True, eq=False)
class Group(Identity):
    """Seeds of one configuration; `frames[i]` is the same table for `seeds[i]`."""

    seeds: tuple[int, ...]
    frames: tuple[pd.DataFrame, ...]

    @property
    def identity(self) -> Identity:
        """The group without its tables."""
        return Identity(self.label, self.dataset, self.arch, self.method, self.bits, self.profile)


def bits_of(row: Row) -> int:
    """Bits of a row as a number; 0 for a map from site to bits."""
    bits = row.get("bits")
    return int(bits) if isinstance(bits, (int, float)) and bits == bits else 0


def bits_label(bits: int | None) -> str:
    """'FP32', 'INT8', or 'mixed' for a map from site to bits."""
    if not bits:
        return "mixed"
    return "FP32" if bits == FULL_PRECISION else f"INT{bits}"


def width_of(row: Row) -> str:
    """'FP32', 'INT8', 'INT8 (message INT4)' where one or two sites have other bits, else 'mixed'."""
    bits = bits_of(row)
    if bits:
        return bits_label(bits)
    base, others = site_widths(row)
    if not 1 <= len(others) <= 2:
        return bits_label(bits)
    return f"INT{base} ({'; '.join(f'{site} INT{width}' for site, width in others.items())})"


def site_widths(row: Row) -> tuple[int, dict[str, int]]:
    """Bits of most sites, and those of the sites that differ by kind or key; (0, {}) for a row without a map."""
    sites = row.get("site_bits")
    if not isinstance(sites, Mapping):
        return 0, {}
    base = int(sites.get("default", DEFAULT_BITS))
    return base, {str(site): int(width) for site, width in sites.items() if site != "default" and width != base}


def variant_of(row: Row) -> Identity:
    """Everything that names a row's group, with the shortest label ("Degree-Quant INT4")."""
    method, bits = str(row.get("method", "")), bits_of(row)
    width = width_of(row)
    label = method_label(method) if method_label(method) == width else f"{method_label(method)} {width}"
    dataset, arch, profile = (str(row.get(name) or "") for name in ("dataset", "arch", "profile"))
    return Identity(label, dataset, arch, method, bits, profile)


def seeds_by_variant(rows: Sequence[Row]) -> dict[Identity, list[Row]]:
    """Rows of each configuration in order of first appearance, labels made distinct.

    Architecture, data set and profile join the label only where the rows differ in them, and so do settings of the
    method and of the architecture. Runs that still share a name, but not the settings that no row holds (such as the
    learning rate), are groups of their own, marked "(2)"; so is a seed that occurs twice.
    """
    found: dict[Identity, list[Row]] = {}
    for row, variant in zip(rows, told_apart(rows), strict=True):
        plain = variant
        copy = 1
        while any(_are_apart(row, other) for other in found.get(variant, [])):
            copy += 1
            variant = replace(plain, label=f"{plain.label} ({copy})")
        found.setdefault(variant, []).append(row)
    names = dict(zip(found, full_labels(list(found)), strict=True))
    return {names[variant]: members for variant, members in found.items()}


def _are_apart(row: Row, other: Row) -> bool:
    """Whether two rows of one name cannot be two seeds of one setting."""
    return row.get("seed") == other.get("seed") or row.get("configuration") != other.get("configuration")


def full_labels(variants: Sequence[Identity]) -> list[Identity]:
    """`variants` with what else they differ in added to their labels."""
    several = [name for name in ("arch", "dataset", "profile") if len({getattr(v, name) for v in variants}) > 1]
    return [_full_label(variant, several) for variant in variants]


def told_apart(rows: Sequence[Row]) -> list[Identity]:
    """The variant of each row; where those of one variant differ in settings, the label names them.

    "QAT INT8 (observer mom)" beside "QAT INT8", which left it at its default; "QAT INT8 (layers 64)".
    """
    variants, settings = [variant_of(row) for row in rows], [settings_of(row) for row in rows]
    found: dict[Identity, list[dict[str, str]]] = {}
    for variant, own in zip(variants, settings, strict=True):
        found.setdefault(variant, []).append(own)
    named = {variant: _differing(several) for variant, several in found.items()}
    return [_with_settings(variant, own, named[variant]) for variant, own in zip(variants, settings, strict=True)]


def _differing(several: Sequence[Mapping[str, str]]) -> set[str]:
    names = {name for one in several for name in one}
    return {name for name in names if len({one.get(name) for one in several}) > 1}


def settings_of(row: Row) -> dict[str, str]:
    """Settings of the method and of the architecture that were set, as text. No name stands in both."""
    found = [row.get(kind) for kind in ("arch_settings", "method_settings")]
    return {str(name): str(value) for settings in found if isinstance(settings, Mapping)
            for name, value in settings.items()}  # fmt: skip


def _with_settings(variant: Identity, own: Mapping[str, str], named: set[str]) -> Identity:
    text = "; ".join(f"{name} {value}" for name, value in sorted(own.items()) if name in named)
    return replace(variant, label=f"{variant.label} ({text})") if text else variant


def _full_label(variant: Identity, several: Sequence[str]) -> Identity:
    extra = [getattr(variant, name) for name in several if getattr(variant, name)]
    if variant.method == "fp32" and "profile" in several:
        extra = extra[:-1] if extra and extra[-1] == variant.profile else extra
    extra = [name.upper() if name == variant.arch else name for name in extra]
    return replace(variant, label=", ".join([variant.label, *extra]))


def group_runs(rows: Sequence[Row], table: Callable[[str], pd.DataFrame | None]) -> list[Group]:
    """Groups of seeds with one table a seed; runs without that table (missing, None or empty) are left out.

    `rows` are the JSON rows of DESIGN.md section 6; `table(run_id)` reads the table.
    """
    groups = []
    for variant, members in seeds_by_variant(rows).items():
        found = [(int(row.get("seed") or 0), frame) for row in members if (frame := read_table(table, row)) is not None]
        if found:
            seeds, frames = zip(*found, strict=True)
            groups.append(Group(**vars(variant), seeds=seeds, frames=frames))
    return groups


def read_table(table: Callable[[str], pd.DataFrame | None], row: Row) -> pd.DataFrame | None:
    """A run's table; None where it is missing or empty."""
    try:
        frame = table(str(row[Column.RUN_ID.value]))
    except (KeyError, FileNotFoundError):
        return None
    return None if frame is None or frame.empty else frame
