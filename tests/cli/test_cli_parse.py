"""What a person types becomes what a spec takes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dqviz.cli.parse import bits_of, grouped, scalar
from dqviz.errors import BadInput


def test_settings_go_where_their_prefix_says() -> None:
    given_ = ["lr=5e-3", "p_max=0.2", "arch.hidden=32", "dataset.k=8", "optimizer.decay=0.5", "observer=per"]
    assert grouped(given_) == {
        "optimizer": {"lr": 0.005, "decay": 0.5}, "method_settings": {"p_max": 0.2, "observer": "per"},
        "arch_settings": {"hidden": 32}, "dataset_settings": {"k": 8},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "value"),
    [("8", 8), ("-3", -3), ("0.5", 0.5), ("1e-3", 0.001), ("true", True), ("no", False), ("per", "per"), ("nan", "nan"),
     ("[1]", "[1]"), ("", "")],
)  # fmt: skip
def test_scalars(text: str, value: object) -> None:
    found = scalar(text)
    assert found == value
    assert type(found) is type(value)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_number_survives(number: float) -> None:
    assert scalar(repr(number)) == number


def test_bits() -> None:
    assert bits_of("4") == 4
    assert bits_of("weight=4, feature=8") == {"weight": 4, "feature": 8}
    with pytest.raises(BadInput, match="--bits"):
        bits_of("weight=four")
