"""Heat maps of how accelerators act on each other, two and two."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sraccel.report.words import decimals, metric, signed
from sraccel.study.report.cells import SPEED
from sraccel.study.report.estimates import TOO_FEW, interval, known, side
from sraccel.study.report.headline import ADDS_UP
from sraccel.study.report.page.scale import ratio

if TYPE_CHECKING:
    from sraccel.study.results import Effect, Estimate, StudyReport

SHARES = (0.02, 0.25, 0.5, 0.75)
"""Of the scale's end: where one colour ends and the next begins."""
LEAST_SPAN = 0.05
"""End of the scale of factors, as a logarithm, however small all interactions are."""


@dataclass(frozen=True)
class Field:
    """Two accelerators.

    Attributes:
        shade: from `worse-4` over `same` to `better-4`; `none` where there is no estimate.
        clear: whether the interval lies on one side.
        said: the field in words.
    """

    value: str
    interval: str
    shade: str
    clear: bool
    said: str


@dataclass(frozen=True)
class Matrix:
    """The lower triangle.

    Attributes:
        outcome: `speedup` or a metric's name.
        columns: all accelerators but the last.
        rows: all accelerators but the first; each with a field for every one before it.
        keys: shades and what they stand for.
    """

    outcome: str
    label: str
    columns: list[str]
    rows: list[tuple[str, list[Field]]]
    keys: list[tuple[str, str]]


@dataclass(frozen=True)
class _Scale:
    """How far an estimate is from adding up, and what that is called.

    Attributes:
        end: distance that has the deepest colour.
        sign: 1 if more is better.
    """

    centre: float
    distance: Callable[[float], float]
    end: float
    sign: int
    text: Callable[[float], str]
    bounds: Callable[[Estimate], str]

    def shade(self, value: float, *, clear: bool = True) -> str:
        """Pale where no interval lies on one side of the centre, however far off the value is."""
        away = self.sign * self.distance(value)
        depth = sum(abs(away) >= part * self.end for part in SHARES)
        depth = depth if clear else min(depth, 1)
        return f"{'better' if away > 0 else 'worse'}-{depth}" if depth else "same"


def speed_matrix(report: StudyReport) -> Matrix | None:
    """What each pair keeps of the product of its speedups."""
    found = {frozenset(pair.accelerators): (pair.kept, pair.why) for pair in report.analysis.pairs}
    if not found:
        return None
    values = [value for kept, _ in found.values() if (value := ratio(known(kept))) is not None]
    scale = _Scale(
        centre=1.0,
        distance=lambda value: math.log(value) if ratio(value) else 0.0,
        end=max([LEAST_SPAN, *(abs(math.log(value)) for value in values)]),
        sign=1,
        text=lambda value: decimals(value, 3),
        bounds=lambda estimate: interval(estimate, 3),
    )
    ends = [math.exp(way * part * scale.end) for way, part in _places()]
    return _matrix(report, SPEED, "kept of the product of the two speedups", found, scale, ends)


def loss_matrix(report: StudyReport, name: str) -> Matrix | None:
    """What each pair loses beyond the sum of what its accelerators lose."""
    effects = report.analysis.losses.get(name)
    pairs = (
        [effect for effect in effects.effects if len(effect.accelerators) == 2] if effects else []
    )
    if not pairs:
        return None
    alone = any(effect.alone for effect in pairs)
    found = {frozenset(pair.accelerators): (_estimate(pair, alone), pair.why) for pair in pairs}
    values = [value for item, _ in found.values() if (value := known(item)) is not None]
    places = metric(name).loss_places
    scale = _Scale(
        centre=0.0,
        distance=lambda value: value,
        end=max([10.0**-places, *map(abs, values)]),
        sign=-1,
        text=lambda value: signed(value, places),
        bounds=lambda estimate: interval(estimate, places),
    )
    nothing = max(map(abs, values), default=0.0) < 0.5 * 10.0**-places
    ends = [0.0] if nothing else [-way * part * scale.end for way, part in _places()]
    beside = "" if alone else ", averaged over the others"
    label = f"added to the {metric(name).lost} beyond the sum of the two{beside}"
    return _matrix(report, name, label, found, scale, ends)


def _estimate(effect: Effect, alone: bool) -> Estimate | None:
    return effect.alone if alone else effect.average


def _places() -> Iterable[tuple[int, float]]:
    """Middles of the shades, from the worst to the best, as shares of the scale's end."""
    return [(-1, 1.0), (-1, 0.6), (-1, 0.35), (1, 0.0), (1, 0.35), (1, 0.6), (1, 1.0)]


def _matrix(
    report: StudyReport,
    outcome: str,
    label: str,
    found: dict[frozenset[str], tuple[Estimate | None, str | None]],
    scale: _Scale,
    ends: list[float],
) -> Matrix:
    names = _names(report, found)
    rows = [
        (row, [_field(row, column, found, scale) for column in names[:place]])
        for place, row in enumerate(names)
        if place
    ]
    keys = [(scale.shade(value), scale.text(value)) for value in ends]
    return Matrix(outcome, label, names[:-1], rows, keys)


def _names(report: StudyReport, found: Iterable[frozenset[str]]) -> list[str]:
    """Accelerators that are in any pair, in the recipe's order."""
    met = {name for pair in found for name in pair}
    known_order = [name for name in dict.fromkeys(report.accelerators) if name in met]
    return [*known_order, *sorted(met - set(known_order))]


def _field(
    row: str,
    column: str,
    found: dict[frozenset[str], tuple[Estimate | None, str | None]],
    scale: _Scale,
) -> Field:
    estimate, why = found.get(frozenset((row, column)), (None, "this pair was not run"))
    value = known(estimate)
    both = f"{column} and {row}"
    if estimate is None or value is None:
        return Field("", "", "none", False, f"{both}: {why or 'could not be estimated'}")
    bounds = scale.bounds(estimate)
    where = side(estimate, scale.centre)
    sure = {None: TOO_FEW, 0: ADDS_UP}.get(where, "")
    said = ", ".join(filter(None, [f"{both}: {scale.text(value)}", bounds, sure]))
    return Field(
        scale.text(value), bounds, scale.shade(value, clear=bool(where)), bool(where), said
    )
