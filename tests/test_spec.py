"""Specs: round trip, names by content, products, and what is refused in one sentence."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dqviz.errors import BadInput
from dqviz.quant import Site
from dqviz.spec import BITS, SITES, MeasureSpec, Optimizer, RunSpec, Study, bits_label, make_spec

BASE: dict[str, Any] = {"dataset": "cora", "arch": "gcn", "method": "qat"}
scalars = st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5)
specs = st.builds(
    RunSpec,
    dataset=st.sampled_from(["cora", "karate"]),
    arch=st.sampled_from(["gcn", "gat"]),
    method=st.sampled_from(["qat", "dq"]),
    method_settings=st.dictionaries(st.text(max_size=5), scalars, max_size=3),
    bits=st.sampled_from(BITS) | st.dictionaries(st.sampled_from(["default", "weight"]), st.sampled_from(BITS)),
    profile=st.sampled_from(["paper", "integer"]),
    seed=st.integers(0, 100),
    optimizer=st.builds(Optimizer, lr=st.floats(1e-6, 10), decay_every=st.integers(0, 100)),
)


@settings(deadline=None)
@given(specs)
def test_json_round_trip_keeps_content_and_name(spec: RunSpec) -> None:
    again = RunSpec.model_validate_json(spec.model_dump_json())
    assert again == spec
    assert again.digest == spec.digest


@settings(deadline=None)
@given(specs, specs)
def test_names_tell_contents_apart(one: RunSpec, two: RunSpec) -> None:
    first, second = (json.dumps(spec.model_dump(mode="json"), sort_keys=True) for spec in (one, two))
    assert (one.digest == two.digest) == (first == second)


def test_the_name_does_not_depend_on_the_order_of_settings() -> None:
    one = make_spec(**BASE, method_settings={"momentum": 0.1, "percentile": 0.2})
    two = make_spec(**BASE, method_settings={"percentile": 0.2, "momentum": 0.1})
    assert one.digest == two.digest


def test_the_name_is_stable() -> None:
    """Finished runs are found by it: a change of this value forgets every run there is."""
    assert make_spec(**BASE).digest == "c57e8832c29382b4"
    assert len(make_spec(**BASE).digest) == 16


def test_a_spec_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        make_spec(**BASE).seed = 1


def test_full_precision_is_32_bits() -> None:
    assert make_spec(**(BASE | {"method": "fp32"}), bits=4).bits == 32
    assert make_spec(**(BASE | {"method": "fp32"})).bits_label == "FP32"
    assert RunSpec.model_validate_json(make_spec(**(BASE | {"method": "fp32"})).model_dump_json()).bits == 32


def test_sites_of_a_map_are_those_that_are_quantized() -> None:
    assert tuple(Site) == SITES
    bits = {"default": 8, "weight": 4, "1/mlp2/feature": 2}
    assert make_spec(**BASE, bits=bits).bits == bits


def test_labels_of_bits() -> None:
    assert [bits_label(b) for b in (32, 8, 4, 2, {"weight": 8})] == ["FP32", "INT8", "INT4", "INT2", "mixed"]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"bits": 5}, "5 is not a bit width; choose one of 2, 3, 4, 8, 16, 32"),
        ({"bits": {"weight": 7}}, "7 is not a bit width"),
        ({"bits": {"0/wieght": 4}}, "'0/wieght' is not a site; choose among default, input, weight"),
        ({"bits": 0}, "0 is not a bit width"),
        ({"optimizer": {"lr": -0.1}}, "optimizer.lr: .*greater than 0"),
        ({"optimizer": {"lr": math.nan}}, "optimizer.lr"),
        ({"optimizer": {"lr": math.inf}}, "optimizer.lr"),
        ({"optimizer": {"weight_decay": -1}}, "weight_decay"),
        ({"optimizer": {"decay": 0}}, "decay"),
        ({"method_settings": {"p_max": math.nan}}, "method_settings"),
        ({"epochs": 0}, "epochs"),
        ({"seed": -1}, "seed"),
        ({"threads": 0}, "threads"),
        ({"profile": "fast"}, "'paper' or 'integer'"),
        ({"learning_rate": 0.1}, "learning_rate"),
        ({"method_settings": {"p_max": [1]}}, "p_max"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(values: dict[str, Any], words: str) -> None:
    with pytest.raises(BadInput, match=words) as caught:
        make_spec(**(BASE | values))
    assert str(caught.value).startswith("Run settings: ")
    assert "\n" not in str(caught.value)


def product(**values: Any) -> Study:
    chosen = {"datasets": ["cora"], "archs": ["gcn", "gin"], "methods": ["fp32", "qat"], "bits": [8, 4],
              "seeds": [0, 1]}  # fmt: skip
    return Study.product("a study", **(chosen | values))


def test_a_product_holds_each_combination_once() -> None:
    runs = product().runs
    assert len(runs) == 2 * 2 * (1 + 2)  # archs, seeds, one fp32 and two widths of qat
    assert len({run.digest for run in runs}) == len(runs)
    assert sum(run.method == "fp32" for run in runs) == 4


def test_a_product_gives_each_method_its_settings() -> None:
    runs = product(methods=["qat", "dq"], method_settings={"dq": {"p_max": 0.2}}, epochs=7, profile="integer").runs
    assert {(run.method, tuple(run.method_settings.items())) for run in runs} == {
        ("qat", ()),
        ("dq", (("p_max", 0.2),)),
    }
    assert {(run.epochs, run.profile) for run in runs} == {(7, "integer")}


@pytest.mark.parametrize(
    ("empty", "words"),
    [
        ("datasets", "data set"),
        ("archs", "architecture"),
        ("methods", "method"),
        ("bits", "bit width"),
        ("seeds", "seed"),
    ],
)
def test_an_empty_list_is_refused(empty: str, words: str) -> None:
    with pytest.raises(BadInput, match=f"^Choose at least one {words}\\.$"):
        product(**{empty: []})


def test_measurements_have_names_too() -> None:
    assert MeasureSpec(target="x").digest != MeasureSpec(target="x", threads=1).digest
    assert MeasureSpec(target="x").digest == "b7f393c249b3132b", "timings of before keep their name"
    assert len({MeasureSpec(target="x", again=again).digest for again in range(3)}) == 3
    with pytest.raises(ValueError, match="repeats"):
        MeasureSpec(target="x", repeats=1)
