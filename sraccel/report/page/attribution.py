"""Who contributed what, as bars on a logarithmic axis: there, factors add up in length."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sraccel.report.claim import claim
from sraccel.report.contributions import AcceleratorWords, contribution
from sraccel.report.words import TIMES, factor, positive

if TYPE_CHECKING:
    from sraccel.report.model import Report, Speedup

MARGIN = 4.0
"""Room at both ends of the axis, in percent."""
LONGEST_POWER = 32
"""Powers of two beyond are written as such."""


@dataclass(frozen=True)
class Bar:
    """A row: from what the speedup was before it, to what it is with it.

    Attributes:
        kind: `factor`, `overhead` (no speed is claimed), `estimate`, `predicted`, `measured` or
            `missing`.
        start, width: in percent of the axis; null width: nothing to draw.
        whisker: least and greatest, in percent.
    """

    label: str
    value: str
    kind: str
    start: float = 0.0
    width: float | None = None
    whisker: tuple[float, float] | None = None
    remark: str = ""


@dataclass(frozen=True)
class Attribution:
    """Who contributed what, as the page draws it.

    Attributes:
        bars: one for each accelerator, then predicted and measured, on a logarithmic axis.
        ticks: places on that axis and their labels.
        contributions: of each accelerator, in words.
    """

    bars: list[Bar]
    ticks: list[tuple[float, str]]
    contributions: list[AcceleratorWords]

    @property
    def drawn(self) -> bool:
        """Whether there is any bar to look at."""
        return any(bar.width is not None for bar in self.bars)


def attribution(report: Report) -> Attribution:
    """The rows of all accelerators, then what they multiply to, then what was measured."""
    parts = [contribution(record) for record in report.accelerators]
    axis = _Axis(parts, report.speedup)
    reached = 0.0
    bars = []
    for part in parts:
        bars.append(_bar(part, axis, reached))
        reached += math.log(part.ratio or 1.0)
    return Attribution([*bars, *_totals(report.speedup, axis)], axis.ticks(), parts)


class _Axis:
    """Logarithms of speedups to percent of the width, with that of 1x always on it.

    (A product of many factors may be too large for a number; the sum of their logarithms is not.)
    """

    def __init__(self, parts: list[AcceleratorWords], speedup: Speedup) -> None:
        points = [0.0]
        for part in parts:
            points.append(points[-1] + math.log(part.ratio or 1.0))
        known = [speedup.measured, speedup.predicted, *(speedup.measured_range or ())]
        points += [math.log(value) for value in map(positive, known) if value is not None]
        self.low, self.high = min(points), max(points)

    def percent(self, logarithm: float) -> float:
        span = (self.high - self.low) or 1.0
        return MARGIN + (100 - 2 * MARGIN) * (logarithm - self.low) / span

    def ticks(self) -> list[tuple[float, str]]:
        """Powers of two within the axis: where they are, and what they say."""
        first, last = math.ceil(self.low / math.log(2)), math.floor(self.high / math.log(2))
        apart = max(1, math.ceil((last - first) / 6))
        powers = [power for power in range(first, last + 1) if power % apart == 0]
        return [(self.percent(power * math.log(2)), _power(power)) for power in powers]


def _power(power: int) -> str:
    text = f"{2.0**power:g}" if abs(power) <= LONGEST_POWER else f"2^{power}"
    return f"{text}{TIMES}"


def _bar(part: AcceleratorWords, axis: _Axis, reached: float) -> Bar:
    if part.ratio is None:
        return Bar(part.name, part.value, part.kind)
    start, end = sorted((axis.percent(reached), axis.percent(reached + math.log(part.ratio))))
    return Bar(part.name, part.value, part.kind, start, end - start, remark=part.remark)


def _totals(speedup: Speedup, axis: _Axis) -> Iterator[Bar]:
    for label, value in (("predicted", speedup.predicted), ("measured", speedup.measured)):
        known = positive(value)
        if known is None:
            continue
        start, end = sorted((axis.percent(0.0), axis.percent(math.log(known))))
        whisker = _whisker(speedup, axis) if label == "measured" else None
        ends = map(factor, speedup.measured_range or ())
        remark = " to ".join(ends) if whisker else ""
        said = factor(known)
        if label == "measured":
            said = claim(speedup)
        yield Bar(label, said, label, start, end - start, whisker, remark)


def _whisker(speedup: Speedup, axis: _Axis) -> tuple[float, float] | None:
    least, greatest = map(positive, speedup.measured_range or (None, None))
    if least is None or greatest is None or least == greatest:
        return None
    return axis.percent(math.log(least)), axis.percent(math.log(greatest))
