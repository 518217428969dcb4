"""Numbers and notes as the page writes them."""

from __future__ import annotations

import math
from collections.abc import Iterable

NOT_MEASURED = "not measured"
TIMES = "\N{MULTIPLICATION SIGN}"
DASH = "\N{EN DASH}"


def finite(value: float | None) -> float | None:
    """The number, or None for what cannot be drawn or claimed."""
    return value if value is not None and math.isfinite(value) else None


def times(value: float | None) -> str:
    """A ratio: 3.97 and the sign for times."""
    value = finite(value)
    return NOT_MEASURED if value is None else f"{value:.2f}{TIMES}"


def duration(value: float | None) -> str:
    """A duration with three digits: `1.93 s`, `45.6 ms`."""
    value = finite(value)
    if value is None:
        return NOT_MEASURED
    return f"{_three(value)} s" if value >= 1 else f"{_three(1000 * value)} ms"


def _three(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def size(count: int | None) -> str:
    """A number of bytes in the unit that fits."""
    if count is None:
        return NOT_MEASURED
    amount = float(count)
    for unit in ("bytes", "KiB", "MiB"):
        if amount < 1024:
            return f"{amount:,.0f} {unit}"
        amount /= 1024
    return f"{amount:,.1f} GiB"


def digits(value: float | None, count: int = 4) -> str:
    """A number of the steps' table; a dash where there is none."""
    value = finite(value)
    return DASH if value is None else f"{value:.{count}g}"


def listed(items: Iterable[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    *most, last = items
    return f"{', '.join(most)} and {last}" if most else last


def spoken(value: object) -> str:
    """A note's or an argument's value on one line."""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, dict):
        return ", ".join(f"{name(key)} {_inner(item)}" for key, item in value.items()) or "none"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_inner, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)


def _inner(value: object) -> str:
    text = spoken(value)
    return f"({text})" if isinstance(value, (dict, list, tuple)) and value else text


def name(key: object) -> str:
    """A key as words."""
    return str(key).replace("_", " ")
