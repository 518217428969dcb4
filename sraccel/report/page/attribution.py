"""Who contributed what, as bars on a logarithmic axis: there, factors add up in length."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sraccel.report.page.words import NOT_MEASURED, TIMES, finite, name, size, spoken, times

if TYPE_CHECKING:
    from sraccel.report.model import AcceleratorRecord, Report

MARGIN = 4.0
"""Room at both ends of the axis, in percent."""
SMALLEST = 1e-100
LONGEST_POWER = 32
"""Powers of two beyond are written as such."""


@dataclass(frozen=True)
class Bar:
    """A row: from what the speedup was before it, to what it is with it.

    Attributes:
        kind: `factor`, `overhead` (no speed is claimed), `estimate`, `predicted` or `measured`.
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
class Deeds:
    """What an accelerator did, and says of itself."""

    name: str
    did: str
    facts: list[tuple[str, str]]
    options: list[tuple[str, str]]


@dataclass(frozen=True)
class Attribution:
    """Who contributed what, as the page draws it.

    Attributes:
        bars: one for each accelerator, then predicted and measured, on a logarithmic axis.
        ticks: places on that axis and their labels.
        deeds: what each accelerator did, in words.
    """

    bars: list[Bar] = field(default_factory=list)
    ticks: list[tuple[float, str]] = field(default_factory=list)
    deeds: list[Deeds] = field(default_factory=list)

    @property
    def drawn(self) -> bool:
        """Whether there is any bar to look at."""
        return any(bar.width is not None for bar in self.bars)


def attribution(report: Report) -> Attribution:
    """The rows of all accelerators, then what they multiply to, then what was measured."""
    axis = _Axis(report)
    reached = 0.0
    bars = []
    for record in report.accelerators:
        bars.append(_bar(record, axis, reached))
        reached += math.log(_ratio(record) or 1.0)
    bars += _totals(report, axis)
    deeds = [_deeds(record) for record in report.accelerators]
    return Attribution(bars, axis.ticks(), deeds)


class _Axis:
    """Logarithms of speedups to percent of the width, with that of 1x always on it.

    (A product of many factors may be too large for a number; the sum of their logarithms is not.)
    """

    def __init__(self, report: Report) -> None:
        points = [0.0]
        for record in report.accelerators:
            points.append(points[-1] + math.log(_ratio(record) or 1.0))
        speedup = report.speedup
        known = [speedup.measured, speedup.predicted, *(speedup.measured_range or ())]
        points += [math.log(value) for value in map(_positive, known) if value is not None]
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


def _positive(value: float | None) -> float | None:
    value = finite(value)
    return value if value is not None and value >= SMALLEST else None


def _ratio(record: AcceleratorRecord) -> float | None:
    return _positive(record.factor if record.factor is not None else record.overhead)


def _bar(record: AcceleratorRecord, axis: _Axis, reached: float) -> Bar:
    ratio = _ratio(record)
    if ratio is None:
        return Bar(record.name, NOT_MEASURED, "missing")
    overhead = record.factor is None
    start, end = sorted((axis.percent(reached), axis.percent(reached + math.log(ratio))))
    remarks = ["overhead; claims no speed"] * overhead + ["estimate"] * record.estimated
    kind = "overhead" if overhead else "estimate" if record.estimated else "factor"
    return Bar(record.name, times(ratio), kind, start, end - start, remark=", ".join(remarks))


def _totals(report: Report, axis: _Axis) -> list[Bar]:
    speedup = report.speedup
    bars = []
    for label, value in (("predicted", speedup.predicted), ("measured", speedup.measured)):
        known = _positive(value)
        if known is None:
            continue
        start, end = sorted((axis.percent(0.0), axis.percent(math.log(known))))
        whisker = _whisker(report, axis) if label == "measured" else None
        remark = "{} to {}".format(*map(times, speedup.measured_range or ())) if whisker else ""
        bars.append(Bar(label, times(known), label, start, end - start, whisker, remark))
    return bars


def _whisker(report: Report, axis: _Axis) -> tuple[float, float] | None:
    least, greatest = map(_positive, report.speedup.measured_range or (None, None))
    if least is None or greatest is None or least == greatest:
        return None
    return axis.percent(math.log(least)), axis.percent(math.log(greatest))


def _deeds(record: AcceleratorRecord) -> Deeds:
    counts = {"chose the model of {} calls": record.chosen_calls}
    counts["skipped the blocks of {} calls"] = record.reused_calls
    did = [words.format(count) for words, count in counts.items() if count]
    facts = [(name(key), spoken(value)) for key, value in record.notes.items()]
    if record.cache_bytes is not None:
        facts.append(("kept between steps, at most", size(record.cache_bytes)))
    options = [(name(key), spoken(value)) for key, value in record.options.items()]
    return Deeds(record.name, "; ".join(did), facts, options)
