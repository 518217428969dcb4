"""Axes: values to places, in percent of a width or in pixels of a height."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

LADDERS = (
    (1.0, 1.1, 1.2, 1.3, 1.5, 1.7, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0),
    (1.0, 1.2, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0),
    (1.0, 1.5, 2.0, 3.0, 5.0, 7.0),
    (1.0, 2.0, 5.0),
    (1.0,),
)
"""Round numbers of a decade, from many to few."""
MOST_TICKS = 7
SMALLEST = 1e-9
"""Of a ratio that can stand on a logarithmic axis; and its inverse is the largest."""
NARROWEST = math.log(1.1)
TINY = 1e-12


@dataclass(frozen=True)
class Axis:
    """A stretch of values, `low` to `high`, laid from `start` to `end`.

    Attributes:
        logarithmic: whether equal factors take equal lengths.
    """

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False

    def at(self, value: float) -> float:
        """The place of a value."""
        low, high, value = (self._put(number) for number in (self.low, self.high, value))
        return self.start + (self.end - self.start) * (value - low) / (high - low)

    def ticks(self) -> list[float]:
        """Round values within."""
        found = log_ticks(self.low, self.high) if self.logarithmic else []
        return found if len(found) > 1 else linear_ticks(self.low, self.high)

    def _put(self, value: float) -> float:
        return math.log(value) if self.logarithmic else value


def log_axis(values: Iterable[float], start: float, end: float) -> Axis:
    """An axis of ratios that holds these values, and 1."""
    logs = [math.log(value) for value in values if ratio(value) is not None] + [0.0]
    low, high = min(logs), max(logs)
    missing = max(0.0, NARROWEST - (high - low)) / 2
    return Axis(math.exp(low - missing), math.exp(high + missing), start, end, logarithmic=True)


def linear_axis(values: Iterable[float], start: float, end: float) -> Axis:
    """An axis of differences that holds these values, and 0."""
    known = [*values, 0.0]
    low, high = min(known), max(known)
    return Axis(low, high if high - low > TINY else low + 1.0, start, end)


def ratio(value: float | None) -> float | None:
    """The value, if it can stand on a logarithmic axis."""
    return value if value is not None and SMALLEST <= value <= 1 / SMALLEST else None


def log_ticks(low: float, high: float) -> list[float]:
    """Round ratios from `low` to `high`, at most seven."""
    exponents = range(math.floor(math.log10(low)), math.floor(math.log10(high)) + 1)
    found: list[float] = []
    for ladder in LADDERS:
        every = (part * 10.0**power for power in exponents for part in ladder)
        found = [value for value in every if low * 0.999 <= value <= high * 1.001]
        if len(found) <= MOST_TICKS:
            return found
    return found[:: math.ceil(len(found) / MOST_TICKS)]


def linear_ticks(low: float, high: float) -> list[float]:
    """Round values from `low` to `high`, three to seven."""
    magnitude = 10.0 ** math.floor(math.log10(high - low))
    parts = (0.2 * magnitude, 0.25 * magnitude, 0.5 * magnitude, magnitude, 2 * magnitude)
    step = next(
        part for part in parts if (high - low) / part <= MOST_TICKS - 1 or part is parts[-1]
    )
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [number * step for number in range(first, last + 1)]
