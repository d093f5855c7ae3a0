"""Observers: three steps of each by hand, and the percentile against a full sort."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from quant_examples import sparse

from dqviz.quant.observers import Percentile, make_observer, percentile_of

STEPS = ([-1.0, 4.0], [-3.0, 2.0], [1.0, 5.0])


def ranges(name: str, **settings: float) -> list[tuple[float, float]]:
    observer = make_observer(name, 8, **settings)
    found = []
    for step in STEPS:
        observer.observe(torch.tensor(step))
        found.append(observer.range())
    return found


def test_abs_by_hand() -> None:
    assert ranges("abs") == [(-1, 4), (-3, 4), (-3, 5)]


def test_mom_by_hand() -> None:
    found = [end for pair in ranges("mom", momentum=0.1) for end in pair]
    assert found == pytest.approx([-1, 4, -1.2, 3.8, -0.98, 3.92], rel=1e-6)


def test_mom_default_is_the_published_momentum() -> None:
    assert ranges("mom")[1] == pytest.approx((-1.02, 3.98))


def test_per_by_hand() -> None:
    """100 non-zero values, p = 0.04: the 4th from each end, then running ends; zeros do not count."""
    observer = Percentile(0.04)
    x = torch.cat([torch.arange(1.0, 51), -torch.arange(1.0, 51), torch.zeros(900)])
    observer.observe(x[torch.randperm(len(x))])
    assert observer.range() == (-47, 47)
    observer.observe(x / 2)
    assert observer.range() == (-47, 47)
    observer.observe(torch.tensor([-60.0, 2.0]))  # k = int(0.08) is 0: the ends themselves
    assert observer.range() == (-60, 47)


def test_per_share_follows_the_bits() -> None:
    assert [percentile_of(b) for b in (2, 3, 4, 8, 16)] == [0.01, 0.01, 0.01, 0.001, 0.001]
    assert make_observer("per", 4, percentile=0.2).share == 0.2
    assert make_observer("per", 4).share == 0.01


def test_nothing_seen_changes_nothing() -> None:
    observer = make_observer("mom", 8)
    observer.observe(torch.zeros(0, 3))
    assert (observer.range(), observer.seen.item()) == ((0, 0), False)


def extremes(x: torch.Tensor, share: float) -> tuple[float, float]:
    """The range of one step."""
    observer = Percentile(share)
    observer.observe(x)
    return observer.range()


def by_sorting(x: torch.Tensor, k: int) -> tuple[float, float]:
    ordered = x.sort().values
    return min(0.0, ordered[k - 1].item()), max(0.0, ordered[-k].item())


SHAPES = {
    "dense": torch.randn,
    "sparse": lambda n: torch.randn(n) * (torch.rand(n) < 0.013),
    "negative": lambda n: -torch.rand(n) - 0.1,
    "positive": lambda n: torch.rand(n) + 0.1,
    "few values": lambda n: torch.randint(-2, 3, (n,)).float(),
    "one side heavy": lambda n: torch.randn(n).exp() - 0.3,
    "sorted": lambda n: torch.randn(n).sort().values,
    "one spike": lambda n: torch.cat([torch.zeros(n - 1), torch.tensor([7.0])]),
    "all zero": torch.zeros,
    "periodic": lambda n: (torch.arange(n) % 97).float() - 40,  # resonates with a strided sample
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("share", [0.0005, 0.001, 0.01, 0.1, 0.3])
@pytest.mark.parametrize("n", [7, 100, 1023, 5000, 60_000])
def test_percentile_equals_a_full_sort(shape: str, share: float, n: int) -> None:
    torch.manual_seed(n)
    x = SHAPES[shape](n)
    k = max(1, int(share * int(x.count_nonzero())))
    assert extremes(x, share) == by_sorting(x, k)


@settings(deadline=None, max_examples=100)
@given(st.lists(st.floats(-5, 5, width=16), min_size=1, max_size=3000), st.floats(0.0, 0.49), st.integers(0, 5))
def test_percentile_of_anything(values: list[float], share: float, repeat: int) -> None:
    x = torch.tensor(values).repeat(repeat + 1)
    k = max(1, int(share * int(x.count_nonzero())))
    assert extremes(x, share) == by_sorting(x, k)


@pytest.mark.parametrize("share", [0.001, 0.05])
def test_percentile_of_bags_of_words_keeps_their_values(share: float) -> None:
    """The reason for leaving zeros out (METHODS 1.2): counted with them, every word would be clipped."""
    x = torch.zeros(200, 100)
    x[torch.arange(200), torch.randint(0, 100, (200,))] = 0.25
    assert extremes(x.reshape(-1), share)[1] == 0.25
    assert extremes(sparse(x).values(), share)[1] == 0.25


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.lists(st.floats(-5, 5, width=16), min_size=1, max_size=400), min_size=1, max_size=5),
    st.sampled_from([0.0, 0.001, 0.02, 0.3]),
)
def test_running_percentiles_are_the_extremes_of_all_steps(steps: list[list[float]], share: float) -> None:
    """Most steps are not searched, because they cannot widen the range: the result is that of searching them all."""
    observer, ends = Percentile(share), []
    for values in steps:
        x = torch.tensor(values)
        observer.observe(x)
        ends.append(extremes(x, share))
    lo, hi = observer.range()
    assert min(lo, 0.0) == min(0.0, *(low for low, _ in ends))
    assert max(hi, 0.0) == max(0.0, *(high for _, high in ends))
