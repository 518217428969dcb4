"""Speed against loss: a point a cell, with the intervals of both as whiskers.

Places across are in percent of the width, which is not known here; those down are in pixels.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from sraccel.report.words import factor, metric, share
from sraccel.study.report.cells import KINDS, quality
from sraccel.study.report.estimates import known, limits, number, times
from sraccel.study.report.page.label import Placed, Rectangle, place
from sraccel.study.report.page.scale import Axis, linear_axis, log_axis, ratio
from sraccel.text import shortened

if TYPE_CHECKING:
    from sraccel.study.results import CellResult, Estimate, StudyReport

WIDE, NARROW = 880.0, 300.0
"""Widths for which labels are laid out, in pixels: with names, and with numbers alone."""
TOP, BOTTOM, HEIGHT = 18.0, 392.0, 436.0
LEFT, RIGHT = 3.0, 97.0
"""Of the points, in percent."""
CROWD = 64
"""Of more points, those on the front alone have labels."""
LONGEST = 44
"""Of a name in the plot, in characters."""
ON_FRONT = 0.5
"""A cell on the front in a greater share of the resamples is drawn as one of it."""
SHAPES = {
    "bare": "M-7,-7h14v14h-14z",
    "stack": "M0,-7a7,7 0 1 0 0.01,0z",
    "plain_steps": "M0,-8l8,14h-16z",
}


@dataclass(frozen=True)
class Point:
    """A cell in the plot.

    Attributes:
        number: of the cell in the study's tables, from 1.
        x: percent; y: pixels.
        across, down: ends of the whiskers, in percent and in pixels.
        said: its figures in words.
        wide, narrow: its labels; null in a crowd, off the front.
    """

    number: int
    name: str
    kind: str
    front: bool
    x: float
    y: float
    across: tuple[float, float] | None
    down: tuple[float, float] | None
    said: str
    wide: Placed | None
    narrow: Placed | None

    @property
    def shape(self) -> str:
        """As an SVG path around the point."""
        return SHAPES[self.kind]


@dataclass(frozen=True)
class Plot:
    """Speed against one metric's loss.

    Attributes:
        up: ticks of the loss, and across: of the speedup; places and labels.
        steps: lines of the front, from point to point: x, y, x, y.
        missing: names of the cells that cannot be drawn.
    """

    metric: str
    label: str
    points: list[Point]
    across: list[tuple[float, str]]
    up: list[tuple[float, str]]
    steps: list[tuple[float, float, float, float]]
    missing: list[str]
    height: float = HEIGHT
    bottom: float = BOTTOM

    @property
    def summary(self) -> str:
        """The plot in words."""
        front = [point.name for point in self.points if point.front]
        shown = f"Speedup against {self.label}, {len(self.points)} cells."
        return f"{shown} On the front: {', '.join(front) or 'none'}."


@dataclass(frozen=True)
class _Spot:
    number: int
    cell: CellResult
    speed: Estimate
    loss: Estimate
    front: bool


def plots(report: StudyReport, names: Sequence[str]) -> list[Plot]:
    """A plot for each metric that any cell has a loss of."""
    found = (_plot(report, name) for name in names)
    return [plot for plot in found if plot is not None]


def _plot(report: StudyReport, name: str) -> Plot | None:
    spots = [
        spot
        for number, cell in enumerate(report.analysis.cells, start=1)
        if (spot := _spot(number, cell, name)) is not None
    ]
    if not spots:
        return None
    across = log_axis(_ends(spot.speed for spot in spots), LEFT, RIGHT)
    down = linear_axis(_ends(spot.loss for spot in spots), TOP, BOTTOM)
    drawn = {spot.cell.name for spot in spots}
    return Plot(
        metric=name,
        label=metric(name).lost,
        points=_points(spots, across, down, name),
        across=[(across.at(value), factor(value, _places(value))) for value in across.ticks()],
        up=[(down.at(value), f"{value:.4g}") for value in down.ticks()],
        steps=_steps(spots, across, down),
        missing=[cell.name for cell in report.analysis.cells if cell.name not in drawn],
    )


def _places(value: float) -> int:
    return next((places for places in range(3) if round(value, places) == round(value, 3)), 3)


def _spot(number: int, cell: CellResult, name: str) -> _Spot | None:
    speed, loss = cell.speedup, cell.loss.get(name)
    if speed is None or loss is None or ratio(known(speed)) is None or known(loss) is None:
        return None
    return _Spot(number, cell, speed, loss, cell.front.get(name, 0.0) > ON_FRONT)


def _ends(estimates: Iterable[Estimate]) -> list[float]:
    values: list[float] = []
    for estimate in estimates:
        values += [estimate.value, *(limits(estimate) or ())]
    return values


def _points(spots: list[_Spot], across: Axis, down: Axis, name: str) -> list[Point]:
    wide, narrow = _labels(spots, across, down, WIDE), _labels(spots, across, down, NARROW)
    return [
        Point(
            number=spot.number,
            name=spot.cell.name,
            kind=spot.cell.kind,
            front=spot.front,
            x=across.at(spot.speed.value),
            y=down.at(spot.loss.value),
            across=_whisker(spot.speed, across),
            down=_whisker(spot.loss, down),
            said=_said(spot, name),
            wide=wide.get(spot.number),
            narrow=narrow.get(spot.number),
        )
        for spot in sorted(spots, key=lambda spot: spot.front)
    ]


def _whisker(estimate: Estimate, axis: Axis) -> tuple[float, float] | None:
    bounds = limits(estimate)
    if bounds is None or (axis.logarithmic and None in map(ratio, bounds)):
        return None
    return axis.at(bounds[0]), axis.at(bounds[1])


def _labels(spots: list[_Spot], across: Axis, down: Axis, width: float) -> dict[int, Placed]:
    """Those of the front choose first, and are names where there is room for them."""
    order = sorted(spots, key=lambda spot: not spot.front)
    points = [
        (across.at(spot.speed.value) * width / 100, down.at(spot.loss.value)) for spot in order
    ]
    named = width == WIDE
    texts = [
        shortened(spot.cell.name, LONGEST) if named and spot.front else str(spot.number)
        for spot in order
    ]
    shown = len(order) if len(order) <= CROWD else sum(spot.front for spot in order)
    frame = Rectangle(0, 2, width, BOTTOM + 4)
    placed = place(points, texts[:shown], frame, _lines(order, points, across, down, width))
    return {spot.number: label for spot, label in zip(order, placed, strict=False)}


def _lines(
    spots: list[_Spot],
    points: list[tuple[float, float]],
    across: Axis,
    down: Axis,
    width: float,
) -> list[Rectangle]:
    """The whiskers."""
    found = []
    for spot, (x, y) in zip(spots, points, strict=True):
        if ends := _whisker(spot.speed, across):
            left, right = sorted(end * width / 100 for end in ends)
            found.append(Rectangle(left, y - 1, right, y + 1))
        if ends := _whisker(spot.loss, down):
            top, bottom = sorted(ends)
            found.append(Rectangle(x - 1, top, x + 1, bottom))
    return found


def _steps(spots: list[_Spot], across: Axis, down: Axis) -> list[tuple[float, float, float, float]]:
    """The front from point to point: down first, then across."""
    front = sorted((spot for spot in spots if spot.front), key=lambda spot: spot.speed.value)
    corners: list[tuple[float, float, float, float]] = []
    for one, other in pairwise(front):
        x, y = across.at(one.speed.value), down.at(one.loss.value)
        further, lower = across.at(other.speed.value), down.at(other.loss.value)
        corners += [(x, y, x, lower), (x, lower, further, lower)]
    return corners


def _said(spot: _Spot, name: str) -> str:
    cell, written = spot.cell, metric(name)
    parts = [
        f"speedup {times(spot.speed)}",
        f"{written.lost} {number(spot.loss, written.loss_places)}",
    ]
    if name in cell.quality:
        parts.append(f"{written.heading} {quality(cell, name).value}")
    if name in cell.front:
        parts.append(f"on the front in {share(cell.front[name])} of the resamples")
    return f"{KINDS[cell.kind]}; {'; '.join(parts)}"
