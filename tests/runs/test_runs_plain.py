"""JSON without NaN."""

from __future__ import annotations

import json
from enum import IntEnum

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dqviz.columns import Column
from dqviz.runs.plain import clean, dumps

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_never_a_bare_nan(value: object) -> None:
    text = dumps(value)
    assert json.loads(text, parse_constant=pytest.fail) == clean(value)


def test_numpy_and_enums_become_plain() -> None:
    number = IntEnum("number", {"one": 1})
    value = {
        Column.EPOCH: np.float32(0.5),
        "b": np.array([1, 2]),
        "c": np.bool_(True),
        "d": (number.one, Column.LOSS_VAL),
    }
    assert clean(value) == {"epoch": 0.5, "b": [1, 2], "c": True, "d": [1, "loss_val"]}
    assert clean(np.float64("nan")) is None
    with pytest.raises(TypeError, match="object"):
        clean(object())
