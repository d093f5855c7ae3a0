"""The kernels that must equal the reference: numba, and the native ones at every instruction set that runs here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np
import pytest

from dqviz.integer.codes import Codes
from dqviz.integer.kernels import BACKENDS, Backend, make, native
from dqviz.integer.kernels.native import Native

VARIANTS = ["numba", *(f"native {level}" for level in native.levels())]
REFERENCE = make("reference")
OTHERS = [entry.name for entry in BACKENDS if entry.name != "reference" and entry.facts["class"].available()]


@cache
def variant(name: str, threads: int = 1) -> Backend:
    """Kernels by their name in VARIANTS."""
    kind, _, level = name.partition(" ")
    return Native(threads, level) if kind == "native" else make(kind, threads)


@pytest.fixture(autouse=True, scope="module")
def small_work_is_shared_too() -> Iterator[None]:
    """The native kernels leave small work to one thread; here every graph is cut into shares. Import it to use it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(native, "SMALL", 0)
        yield


def same(found: object, expected: object) -> None:
    """The same bits: codes by value (packed or not), sums and reals with their type."""
    if isinstance(expected, Codes):
        assert isinstance(found, Codes)
        assert (found.params, found.channels) == (expected.params, expected.channels)
        found, expected = found.values, expected.values
    assert isinstance(found, np.ndarray)
    assert isinstance(expected, np.ndarray)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


def same_everywhere(
    expected: object, call: str, *args: object, threads: Sequence[int] = (1, 3), **named: object
) -> None:
    """Method `call` of every variant gives `expected`."""
    for name in VARIANTS:
        for count in threads:
            try:
                same(getattr(variant(name, count), call)(*args, **named), expected)
            except AssertionError as difference:
                raise AssertionError(f"{name}, {count} threads: {difference}") from None
