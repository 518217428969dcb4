"""What a timeline is drawn of, in pixels."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

TINY = 1e-12
"""What is drawn as 0."""


@dataclass(frozen=True)
class Box:
    """A rectangle; `look` names its model's colour, `reused` hatches it."""

    x: float
    y: float
    width: float
    height: float
    look: str
    letter: str = ""
    title: str = ""
    reused: bool = False


@dataclass(frozen=True)
class Label:
    """A word at a place; `full` is what it is short for, `late` puts it before the place."""

    x: float
    y: float
    text: str
    full: str = ""
    late: bool = False


@dataclass(frozen=True)
class Tick:
    """A value on an axis."""

    y: float
    text: str


@dataclass(frozen=True)
class Key:
    """An entry of the legend."""

    mark: str
    text: str
    look: str = ""
    letter: str = ""
    reused: bool = False


@dataclass
class Curve:
    """Values over the steps, each with a mark: `dot` or `diamond`."""

    mark: str
    points: list[tuple[float, float]]


@dataclass
class Panel:
    """A diagram over the steps; `top` and `bottom` are where its highest and lowest values lie."""

    name: str
    unit: str
    top: float
    bottom: float
    lowest: float = 0.0
    highest: float = 1.0
    ticks: list[Tick] = field(default_factory=list)
    curves: list[Curve] = field(default_factory=list)
    missing: str = ""

    def y(self, value: float) -> float:
        share = (value - self.lowest) / (self.highest - self.lowest)
        return self.bottom - (self.bottom - self.top) * share

    def scale_to(self, values: Iterable[float], form: str) -> None:
        """Take round limits between which 0 and the values lie; up to 1 if all are 0."""
        known = [0.0, *values]
        low, high = min(known), max(known)
        high = high if high - low > TINY else low + 1.0
        step = _round_step(high - low)
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        self.lowest, self.highest = first * step, last * step
        steps = range(first, last + 1)
        self.ticks = [Tick(self.y(n * step), form.format(n * step)) for n in steps]


def _round_step(span: float) -> float:
    """A round distance that fits two to five times into the span."""
    magnitude = 10.0 ** math.floor(math.log10(span))
    return next(part * magnitude for part in (0.2, 0.5, 1, 2) if span / magnitude <= 5 * part)
