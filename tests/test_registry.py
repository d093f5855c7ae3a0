"""Registries: names, order, settings in order, and sentences for a person."""

from __future__ import annotations

from typing import ClassVar

import pytest
from pydantic import Field

from dqviz.errors import BadInput, DqvizError, unknown
from dqviz.registry import Entry, Registry, Settings, one_sentence


class Ends(Settings):
    ascending: ClassVar[tuple[tuple[str, str], ...]] = (("low", "high"),)
    low: float = Field(default=0.0, ge=0, le=1, description="Lower end.")
    high: float = Field(default=0.5, ge=0, le=1, description="Upper end.")


def registry() -> Registry[tuple[float, float]]:
    found: Registry[tuple[float, float]] = Registry("thing")
    found.add(Entry("wide", "A wide thing.", lambda s: (s.low, s.high), Ends, cites=("someone1999",)))
    found.add(Entry("bare", "A thing without settings.", lambda s: (0.0, 0.0)))
    return found


def test_entries_in_order() -> None:
    things = registry()
    assert things.names() == ["wide", "bare"]
    assert [entry.name for entry in things] == things.names()
    assert "wide" in things
    assert "narrow" not in things


def test_a_name_is_registered_once() -> None:
    things = registry()
    with pytest.raises(ValueError, match="thing 'bare' is registered twice"):
        things.add(Entry("bare", "Again.", lambda s: (0.0, 0.0)))


def test_making_a_thing() -> None:
    things = registry()
    assert things["wide"].make(things.settings("wide", {"high": 0.9})) == (0.0, 0.9)


@pytest.mark.parametrize("ask", [lambda r: r["narrow"], lambda r: r.settings("narrow", {})])
def test_an_unknown_name_lists_the_choices(ask: object) -> None:
    with pytest.raises(BadInput, match=r"^Unknown thing 'narrow'; choose one of: bare, wide\.$"):
        ask(registry())


@pytest.mark.parametrize(
    ("name", "values", "sentence"),
    [
        ("wide", {"low": 0.9}, "Settings of thing 'wide': low must not be above high (0.9 > 0.5)."),
        ("wide", {"low": 2}, "Settings of thing 'wide': low: Input should be less than or equal to 1."),
        ("wide", {"width": 2}, "Settings of thing 'wide': width: Extra inputs are not permitted."),
        ("bare", {"low": 1}, "Settings of thing 'bare': low: Extra inputs are not permitted."),
        ("wide", {"low": float("nan")}, "Settings of thing 'wide': low: Input should be a finite number."),
    ],
)
def test_settings_that_do_not_fit(name: str, values: dict[str, float], sentence: str) -> None:
    with pytest.raises(BadInput) as caught:
        registry().settings(name, values)
    assert str(caught.value) == sentence


def test_equal_ends_are_in_order() -> None:
    assert registry().settings("wide", {"low": 0.5}).model_dump() == {"low": 0.5, "high": 0.5}


def test_several_problems_are_one_sentence() -> None:
    with pytest.raises(BadInput) as caught:
        registry().settings("wide", {"low": -1, "high": 3})
    assert str(caught.value).count(";") == 1
    assert str(caught.value).endswith(".")


def test_schema_carries_the_order_of_pairs() -> None:
    schema = Ends.schema_of()
    assert schema["x-ascending"] == [["low", "high"]]
    assert schema["properties"]["low"]["description"] == "Lower end."
    assert Settings.schema_of()["x-ascending"] == []


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Ends().low = 0.1


def test_a_plain_error_is_a_sentence_too() -> None:
    assert one_sentence("Input", ValueError("is odd")) == "Input: is odd."


def test_errors_are_for_people() -> None:
    assert isinstance(unknown("x", 3, ["b", "a"]), DqvizError)
    assert str(unknown("x", 3, ["b", "a"])) == "Unknown x 3; choose one of: a, b."
