"""A form from a JSON schema: one widget a setting, no code per method, architecture or data set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from dqviz.spec import Scalar

WHOLE = {"lr": "learning rate", "kb": "KB", "mlp": "MLP", "eps": "epsilon", "finetune": "fine-tuning share"}
"""Parts of setting names that are no words."""
AS_WRITTEN = {"p_min": "p_min", "p_max": "p_max", "k": "Neighbours k", "teleport": "Teleport α", "mu": "Smoothness μ",
              "eta": "Step size η", "alpha": "Bound α"}  # fmt: skip
"""Settings that formulas have a letter for."""


def settings(schema: Mapping[str, Any], key: str) -> dict[str, Scalar]:
    """The settings a person changed. Defaults are left out, so that a run has one name however it was described.

    Limits are not put on the widgets: a number outside them must be refused with a sentence (runs.catalogue.check),
    not silently moved to the nearest allowed one.
    """
    properties: Mapping[str, Any] = schema.get("properties", {})
    changed: dict[str, Scalar] = {}
    for name, raw in properties.items():
        field = resolve(raw, schema)
        value = _widget(name, field, f"{key}-{name}")
        if value is not None and value != field.get("default"):
            changed[name] = value
    return changed


def resolve(field: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """`field` with its reference and its first non-null alternative filled in."""
    flat = dict(field)
    if "anyOf" in flat:
        flat = {**next(one for one in flat["anyOf"] if one.get("type") != "null"), **flat}
    if "$ref" in flat:
        flat = {**schema["$defs"][flat["$ref"].rsplit("/", 1)[-1]], **flat}
    return flat


def label_of(name: str) -> str:
    """'bits_lr' -> 'Bits learning rate', 'memory_kb' -> 'Memory KB', 'p_max' -> 'p_max' as the formulas have it."""
    if name in AS_WRITTEN:
        return AS_WRITTEN[name]
    words = " ".join(WHOLE.get(word, word) for word in name.split("_"))
    return words[0].upper() + words[1:]


def _widget(name: str, field: Mapping[str, Any], key: str) -> Scalar | None:
    label = label_of(name)
    help_text = " ".join(part for part in (field.get("description", ""), _limits(field)) if part) or None
    default = field.get("default")
    if "const" in field:
        return None
    if "enum" in field:
        choices = [str(one) for one in field["enum"]]
        return st.selectbox(label, choices, index=_index(choices, default), key=key, help=help_text)
    if field.get("type") == "boolean":
        return bool(st.toggle(label, bool(default), key=key, help=help_text))
    if field.get("type") == "string":
        return st.text_input(label, str(default or ""), key=key, help=help_text)
    return _number(label, field, key, help_text)


def _number(label: str, field: Mapping[str, Any], key: str, help_text: str | None) -> Scalar | None:
    default = field.get("default")
    if field.get("type") == "integer":
        return st.number_input(label, value=None if default is None else int(default), step=1, key=key, help=help_text)
    value = None if default is None else float(default)
    return st.number_input(label, value=value, step=_step(value), format="%g", key=key, help=help_text)


def _step(value: float | None) -> float:
    """A tenth of the default: 5e-4 moves by 5e-5, 0.5 by 0.05."""
    return abs(value) / 10 if value else 0.01


def _index(choices: list[str], default: object) -> int:
    return choices.index(str(default)) if str(default) in choices else 0


def _limits(field: Mapping[str, Any]) -> str:
    words = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}
    parts = [f"{words[name]} {field[name]:g}" for name in words if name in field]
    return f"({', '.join(parts)})" if parts else ""
