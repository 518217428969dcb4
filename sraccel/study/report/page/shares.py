"""Who contributes what to the full stack, by Shapley's value, as bars that follow each other."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sraccel.report.page.attribution import Bar
from sraccel.report.words import DASH, TIMES, decimals, factor, metric, share, signed
from sraccel.study.report.cells import SPEED, full_stack
from sraccel.study.report.estimates import interval, known, limits
from sraccel.study.report.page.scale import Axis, linear_axis, ratio

if TYPE_CHECKING:
    from sraccel.study.results import Effects, Estimate, Share, StudyReport

START, END = 4.0, 96.0
"""Of the axis, in percent."""


@dataclass(frozen=True)
class ShareRow:
    """An accelerator, or the full stack.

    Attributes:
        value, interval: its part.
        share: of the whole.
        alone: what it does where no other one is, and where that stands beside the bar, in
            percent.
    """

    bar: Bar
    interval: str
    share: str
    alone: str
    mark: float | None


@dataclass(frozen=True)
class Shares:
    """Parts of one outcome that add up to the full stack's.

    Attributes:
        outcome: `speedup` or a metric's name.
        origin: label of the tick at which bars begin.
        why: why there is nothing to show.
    """

    outcome: str
    label: str
    rows: list[ShareRow]
    ticks: list[tuple[float, str]]
    origin: str
    why: str


@dataclass(frozen=True)
class _Measure:
    """How an outcome's numbers become lengths that add up, and words.

    Attributes:
        length: None for a number that cannot be drawn.
    """

    length: Callable[[float], float | None]
    number: Callable[[float], float]
    text: Callable[[float | None], str]
    bounds: Callable[[Estimate | None], str]
    tick: Callable[[float], str]


def speed_shares(report: StudyReport) -> Shares:
    """Factors, which multiply to the full stack's speedup."""

    def length(value: float) -> float | None:
        return None if ratio(value) is None else math.log(value)

    measure = _Measure(
        length=length,
        number=math.exp,
        text=lambda value: factor(value, 3),
        bounds=lambda estimate: interval(estimate, 3),
        tick=lambda value: f"{value:.3g}{TIMES}",
    )
    cell = full_stack(report)
    whole = cell.speedup if cell else None
    return _shares(SPEED, SPEED, report.analysis.speed, whole, measure)


def loss_shares(report: StudyReport, name: str) -> Shares | None:
    """Summands, which add up to what the full stack loses."""
    effects = report.analysis.losses.get(name)
    if effects is None:
        return None
    places = metric(name).loss_places
    measure = _Measure(
        length=lambda value: value,
        number=lambda value: value,
        text=lambda value: signed(value, places),
        bounds=lambda estimate: interval(estimate, places),
        tick=lambda value: decimals(value, places).rstrip("0").rstrip(".") or "0",
    )
    cell = full_stack(report)
    whole = cell.loss.get(name) if cell else None
    return _shares(name, metric(name).lost, effects, whole, measure)


def _shares(
    outcome: str, label: str, effects: Effects, whole: Estimate | None, measure: _Measure
) -> Shares:
    alone = {
        effect.accelerators[0]: effect.alone
        for effect in effects.effects
        if len(effect.accelerators) == 1
    }
    lengths = [_length(item.value, measure) or 0.0 for item in effects.shapley]
    starts = [math.fsum(lengths[:place]) for place in range(len(lengths))]
    axis = linear_axis(_ends(effects, starts, alone, whole, measure), START, END)
    rows = [
        _row(item, start, alone.get(item.accelerator), axis, measure)
        for item, start in zip(effects.shapley, starts, strict=True)
    ]
    if rows and whole is not None:
        rows.append(_total(whole, axis, measure))
    why = effects.shapley_why or "no attribution was made"
    return Shares(outcome, label, rows, _ticks(axis, measure), measure.tick(measure.number(0)), why)


def _ends(
    effects: Effects,
    starts: list[float],
    alone: dict[str, Estimate | None],
    whole: Estimate | None,
    measure: _Measure,
) -> Iterator[float]:
    """All that must be on the axis."""
    for item, start in zip(effects.shapley, starts, strict=True):
        ends = [_length(item.value, measure), *_bounds(item.value, measure)]
        ends.append(_length(alone.get(item.accelerator), measure))
        yield from (start + end for end in ends if end is not None)
    yield from (
        end for end in [_length(whole, measure), *_bounds(whole, measure)] if end is not None
    )


def _length(estimate: Estimate | None, measure: _Measure) -> float | None:
    value = known(estimate)
    return None if value is None else measure.length(value)


def _bounds(estimate: Estimate | None, measure: _Measure) -> list[float]:
    """Both ends of the interval as lengths, or nothing."""
    ends = [measure.length(bound) for bound in limits(estimate) or ()]
    return [end for end in ends if end is not None] if None not in ends else []


def _row(
    item: Share, start: float, alone: Estimate | None, axis: Axis, measure: _Measure
) -> ShareRow:
    beside = _length(alone, measure)
    return ShareRow(
        bar=_bar(item.accelerator, item.value, "factor", start, axis, measure),
        interval=measure.bounds(item.value),
        share=share(known(item.share)),
        alone=measure.text(known(alone)),
        mark=None if beside is None else axis.at(start + beside),
    )


def _total(whole: Estimate, axis: Axis, measure: _Measure) -> ShareRow:
    bar = _bar("full stack", whole, "measured", 0.0, axis, measure)
    return ShareRow(bar, measure.bounds(whole), "", DASH, None)


def _bar(
    label: str, estimate: Estimate, kind: str, start: float, axis: Axis, measure: _Measure
) -> Bar:
    value, length = known(estimate), _length(estimate, measure)
    if length is None:
        return Bar(label, measure.text(value), "missing")
    left, right = sorted((axis.at(start), axis.at(start + length)))
    ends = [axis.at(start + end) for end in _bounds(estimate, measure)]
    whisker = (ends[0], ends[1]) if ends and ends[0] != ends[1] else None
    return Bar(label, measure.text(value), kind, left, right - left, whisker)


def _ticks(axis: Axis, measure: _Measure) -> list[tuple[float, str]]:
    numbers = Axis(measure.number(axis.low), measure.number(axis.high), START, END)
    if measure.number(0) == 1:
        numbers = Axis(numbers.low, numbers.high, START, END, logarithmic=True)
    return [(numbers.at(value), measure.tick(value)) for value in numbers.ticks()]
