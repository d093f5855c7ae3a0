"""Numbers and lists as a person writes them: the building blocks of the sentences under charts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

NOTHING = "There is nothing to show yet: choose at least one finished run that has this table."


def number(value: float, digits: int = 3) -> str:
    """Three significant digits without an exponent where that stays readable: 0.0123, 1.5, 169,000."""
    if not np.isfinite(value):
        return "undefined"
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 1e7 or size < 1e-4:
        return f"{value:.{digits - 1}e}"
    places = max(0, digits - 1 - int(np.floor(np.log10(size))))
    text = f"{round(value, places):,.{places}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def percent(share: float) -> str:
    """A share as per cent with one place: 12.3 %."""
    return f"{100 * share:.1f} %" if np.isfinite(share) else "undefined"


def power(value: float) -> str:
    """An exponent with two places: 0.50, -0.12, never -0.00."""
    return f"{round(value, 2) + 0.0:.2f}"


def points(share: float) -> str:
    """A difference of two shares in percentage points, without sign: 1.2."""
    return f"{abs(100 * share):.1f}"


def signed_points(share: float) -> str:
    """The same with its sign where it is a loss: 0.3, -1.2."""
    return f"{100 * share:.1f}".replace("-0.0", "0.0")


def listing(names: Sequence[str], most: int = 4) -> str:
    """'a', 'a and b', 'a, b and c', 'a, b, c and 3 more'."""
    shown = list(names[:most])
    rest = len(names) - len(shown)
    if rest:
        return f"{', '.join(shown)} and {rest} more"
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}" if shown else "nothing"


def count(amount: int, noun: str) -> str:
    """'1 node', '2,708 nodes'."""
    return f"{amount:,} {noun}{'' if amount == 1 else 's'}"


def span(low: float, high: float) -> str:
    """A degree group: '3' or '3 to 7'."""
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def degree(mean: float) -> str:
    """A mean in-degree of a bin: '2', '3.5', '89'."""
    return f"{mean:.0f}" if mean >= 10 else f"{mean:.2g}"


def growth(ratio: float) -> str:
    """'grows 2.1 times', 'shrinks to 0.4 of that', 'stays the same'."""
    if not np.isfinite(ratio):
        return "cannot be compared"
    if 0.95 <= ratio <= 1.05:
        return "stays about the same"
    return f"grows {number(ratio, 2)} times" if ratio > 1 else f"shrinks to {number(ratio, 2)} of that"
