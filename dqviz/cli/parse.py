"""What a person types: key=value settings and bit widths."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Annotated, Any

import typer
import yaml

from dqviz.errors import BadInput
from dqviz.spec import Bits, Optimizer, Scalar

Setting = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="A setting; repeat for more. method.p_max=0.2, arch.hidden=32, "
                 "dataset.k=8, lr=0.005; without a prefix: the optimizer's, else the method's."),
]  # fmt: skip
GROUPS = {
    "method": "method_settings", "arch": "arch_settings", "dataset": "dataset_settings", "optimizer": "optimizer",
}  # fmt: skip


def settings_of(given: Iterable[str] | None) -> dict[str, Scalar]:
    """{'k': 8} from ['k=8'] or ['dataset.k=8']."""
    return {key.rpartition(".")[2]: value for key, value in map(pair, given or ())}


def grouped(given: Iterable[str] | None) -> dict[str, dict[str, Any]]:
    """{'optimizer': {'lr': 0.005}, 'method_settings': {'p_max': 0.2}} from ['lr=0.005', 'method.p_max=0.2']."""
    groups: dict[str, dict[str, Any]] = {}
    for key, value in map(pair, given or ()):
        prefix, _, name = key.rpartition(".")
        if prefix and prefix not in GROUPS:
            raise BadInput(f"Unknown group {prefix!r} in --set {key}; choose one of: {', '.join(GROUPS)}.")
        group = prefix or ("optimizer" if name in Optimizer.model_fields else "method")
        groups.setdefault(GROUPS[group], {})[name] = value
    return groups


def pair(text: str) -> tuple[str, Scalar]:
    """('p_max', 0.2) from 'p_max=0.2'; numbers and true/false are recognised, anything else is a word."""
    key, equals, raw = text.partition("=")
    if not equals or not key.strip():
        raise BadInput(f"--set takes KEY=VALUE, not {text!r}.")
    return key.strip(), scalar(raw.strip())


def scalar(raw: str) -> Scalar:
    try:
        value = float(raw)  # YAML 1.1 reads 1e-3 as a word
        if math.isfinite(value):
            return int(raw) if raw.lstrip("+-").isdigit() else value
    except ValueError:
        pass
    try:
        value = yaml.safe_load(raw)
    except yaml.YAMLError:
        return raw
    return value if isinstance(value, bool) else raw


def bits_of(text: str) -> Bits:
    """8 from '8'; {'weight': 4, 'feature': 8} from 'weight=4,feature=8'."""
    try:
        if "=" not in text:
            return int(text)
        return {site.strip(): int(width) for site, _, width in (part.partition("=") for part in text.split(","))}
    except ValueError as error:
        raise BadInput(f"--bits takes a width such as 8, or a map such as weight=4,feature=8, not {text!r}.") from error


def names(text: str) -> tuple[str, ...]:
    """('gcn', 'gin') from 'gcn,gin', each once."""
    return tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))


def numbers(text: str) -> tuple[int, ...]:
    """(1, 2) from '1,2', each once. BadInput for what is not a list of whole numbers."""
    try:
        return tuple(dict.fromkeys(int(part) for part in text.split(",")))
    except ValueError as error:
        raise BadInput(f"{text!r} is not a list of whole numbers; write 1 or 1,2.") from error
