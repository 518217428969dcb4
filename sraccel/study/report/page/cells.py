"""The cells as rows of a table that can be sorted and filtered."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sraccel.report.page.words import spoken
from sraccel.study.report.page.scale import Axis, log_axis, ratio
from sraccel.study.report.page.written import Written, sortable, times, written
from sraccel.study.report.words import (
    IDENTICAL,
    KINDS,
    counted,
    interval,
    known,
    limits,
    metric,
    quality,
    seconds,
    share,
    spread,
    switched,
)

if TYPE_CHECKING:
    from sraccel.study.report_model import CellResult, Estimate, StudyReport, Switch


@dataclass(frozen=True)
class Gauge:
    """A speedup and its interval on an axis that all rows share, in percent; `one` is 1x."""

    one: float
    at: float
    ends: tuple[float, float] | None


@dataclass(frozen=True)
class CellRow:
    """A cell.

    Attributes:
        number: from 1; the plot's numbers are the same.
        settings: of a sweep; trouble: what failed.
        uses: whether each of the study's accelerators is in it.
        figures: one for each heading.
    """

    number: int
    name: str
    kind: str
    kind_name: str
    settings: str
    trouble: list[str]
    uses: list[bool]
    gauge: Gauge | None
    figures: list[Written]


@dataclass(frozen=True)
class CellTable:
    """All cells; the first figure is the speedup."""

    headings: list[str]
    accelerators: list[str]
    kinds: list[tuple[str, str]]
    rows: list[CellRow]


def cell_table(report: StudyReport, names: Sequence[str]) -> CellTable:
    """The table; `names` are the metrics."""
    cells = report.analysis.cells
    accelerators = list(dict.fromkeys(report.accelerators))
    axis = log_axis(_speeds(cells), 2.0, 98.0)
    labels = [metric(name).heading for name in names]
    kinds = [(kind, KINDS[kind]) for kind in KINDS if any(cell.kind == kind for cell in cells)]
    return CellTable(
        headings=["speedup", "whole call", *labels, "skipped", "switch at", "loop", "runs"],
        accelerators=accelerators,
        kinds=kinds,
        rows=[
            _row(number, cell, names, accelerators, axis)
            for number, cell in enumerate(cells, start=1)
        ],
    )


def _speeds(cells: Sequence[CellResult]) -> Iterator[float]:
    for cell in cells:
        if (value := known(cell.speedup)) is not None:
            yield from (value, *(limits(cell.speedup) or ()))


def _row(
    number: int,
    cell: CellResult,
    names: Sequence[str],
    accelerators: Sequence[str],
    axis: Axis,
) -> CellRow:
    return CellRow(
        number=number,
        name=cell.name,
        kind=cell.kind,
        kind_name=KINDS[cell.kind],
        settings=spoken(cell.settings) if cell.settings else "",
        trouble=_trouble(cell),
        uses=[name in cell.accelerators for name in accelerators],
        gauge=_gauge(cell.speedup, axis),
        figures=_figures(cell, names),
    )


def _trouble(cell: CellResult) -> list[str]:
    if not cell.failed:
        return list(cell.errors)
    return [f"{counted(cell.failed, 'run')} failed", *cell.errors]


def _gauge(speedup: Estimate | None, axis: Axis) -> Gauge | None:
    value = ratio(known(speedup))
    if value is None:
        return None
    bounds = limits(speedup)
    drawn = bounds is not None and None not in map(ratio, bounds)
    ends = (axis.at(bounds[0]), axis.at(bounds[1])) if bounds and drawn else None
    return Gauge(axis.at(1.0), axis.at(value), ends)


def _figures(cell: CellResult, names: Sequence[str]) -> list[Written]:
    return [
        times(cell.speedup, 2),
        times(cell.whole_call, 2),
        *(_quality(cell, name) for name in names),
        Written(share(cell.reused), sort=sortable(cell.reused)),
        _switch(cell.switch),
        Written(seconds(cell.seconds), sort=sortable(cell.seconds)),
        Written(str(cell.finished), sort=str(cell.finished)),
    ]


def _quality(cell: CellResult, name: str) -> Written:
    estimate = cell.quality.get(name)
    value = quality(cell, name)
    bounds = "" if value == IDENTICAL else interval(estimate, metric(name).places)
    return written(estimate, value, bounds)


def _switch(switch: Switch | None) -> Written:
    return Written(switched(switch), spread(switch), sortable(switch.median if switch else None))
