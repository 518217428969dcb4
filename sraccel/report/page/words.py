"""Numbers and notes as the page writes them."""

from __future__ import annotations

from collections.abc import Iterable

NOT_MEASURED = "not measured"
TIMES = "\N{MULTIPLICATION SIGN}"
DASH = "\N{EN DASH}"
LARGEST = 1e100
"""Beyond, a number was not measured, whatever a report says; sums and products overflow there."""
LONGEST = 1e9
"""So large a number is written with an exponent."""


def finite(value: float | None) -> float | None:
    """The number, or None for what cannot be drawn or claimed."""
    return value if value is not None and -LARGEST <= value <= LARGEST else None


def times(value: float | None) -> str:
    """A ratio: 3.97 and the sign for times."""
    value = finite(value)
    if value is None:
        return NOT_MEASURED
    return f"{value:.2f}{TIMES}" if value < LONGEST else f"{value:.3g}{TIMES}"


def duration(value: float | None) -> str:
    """A duration with three digits: `1.93 s`, `45.6 ms`."""
    value = finite(value)
    if value is None:
        return NOT_MEASURED
    return f"{_three(value)} s" if value >= 1 else f"{_three(1000 * value)} ms"


def _three(value: float) -> str:
    return f"{value:,.0f}" if 100 <= value < LONGEST else f"{value:.3g}"


def size(count: int | None) -> str:
    """A number of bytes in the unit that fits."""
    amount = finite(count)
    if amount is None:
        return NOT_MEASURED
    for unit in ("bytes", "KiB", "MiB"):
        if amount < 1024:
            return f"{amount:,.0f} {unit}"
        amount /= 1024
    return f"{amount:,.1f} GiB" if amount < LONGEST else f"{amount:.3g} GiB"


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
