"""Rows of the page's tables: cells, pairs, effects of every order, and orders."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from sraccel.report.words import (
    DASH,
    TIMES,
    chain,
    counted,
    duration,
    metric,
    share,
    spoken,
    upper_first,
)
from sraccel.study.report.cells import KINDS, SPEED, quality, switched
from sraccel.study.report.estimates import (
    Written,
    difference,
    known,
    limits,
    number,
    sortable,
    times,
)
from sraccel.study.report.headline import verdict
from sraccel.study.report.page.scale import Axis, log_axis, ratio

if TYPE_CHECKING:
    from sraccel.study.results import CellResult, Effects, Estimate, Pair, StudyReport

ORDERS = {1: "main effect", 2: "of two", 3: "of three", 4: "of four"}


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
        times(cell.speedup),
        times(cell.whole_call),
        *(quality(cell, name) for name in names),
        Written(share(cell.reused), sort=sortable(cell.reused)),
        switched(cell.switch),
        Written(duration(cell.seconds, missing=DASH), sort=sortable(cell.seconds)),
        Written(str(cell.finished), sort=str(cell.finished)),
    ]


@dataclass(frozen=True)
class PairRow:
    """A pair; what its figures say stands in `verdict`."""

    name: str
    figures: list[Written]
    verdict: str


def pair_rows(report: StudyReport) -> list[PairRow]:
    """Those that keep least come first; those without an estimate last."""
    pairs = sorted(report.analysis.pairs, key=_kept)
    return [
        PairRow(
            chain(pair.accelerators),
            [
                number(pair.index, 2),
                number(pair.kept, 3),
                times(pair.together),
                times(pair.product),
                times(pair.best_single, 3),
            ],
            verdict(pair),
        )
        for pair in pairs
    ]


def _kept(pair: Pair) -> float:
    value = known(pair.kept)
    return float("inf") if value is None else value


@dataclass(frozen=True)
class CombinationRow:
    """Three accelerators or more; `why` says what is missing."""

    name: str
    figures: list[Written]
    why: str


def combination_rows(report: StudyReport) -> list[CombinationRow]:
    """In the order of the analysis: three together, then four, ..."""
    return [
        CombinationRow(
            chain(found.accelerators),
            [
                times(found.together),
                times(found.product),
                times(found.beside_product, 3),
                times(found.from_pairs),
                times(found.beside_pairs, 3),
            ],
            found.why or "",
        )
        for found in report.analysis.combinations
    ]


@dataclass(frozen=True)
class EffectRow:
    """An effect; `why` says what is missing."""

    name: str
    order: str
    average: Written
    alone: Written
    why: str


@dataclass(frozen=True)
class EffectTable:
    """The effects on one outcome."""

    outcome: str
    label: str
    rows: list[EffectRow]


@dataclass(frozen=True)
class OrderRow:
    """One accelerator before another; `why` says what is missing."""

    name: str
    factor: Written
    why: str


def effect_tables(report: StudyReport, names: Sequence[str]) -> list[EffectTable]:
    """Speed first, then the loss of each metric; those without any effect are left out."""
    tables = [
        EffectTable(
            SPEED, "Speedup, as factors", _effects(report.analysis.speed, partial(times, places=3))
        )
    ]
    for name in names:
        effects = report.analysis.losses.get(name)
        if effects is not None:
            label = f"{upper_first(metric(name).lost)}, as differences"
            write = partial(difference, places=metric(name).loss_places)
            tables.append(EffectTable(name, label, _effects(effects, write)))
    return [table for table in tables if table.rows]


def order_rows(report: StudyReport) -> list[OrderRow]:
    """What it does to the speedup that one stands before the other."""
    return [
        OrderRow(f"{order.first} before {order.second}", times(order.factor, 3), order.why or "")
        for order in report.analysis.orders
    ]


def _effects(effects: Effects, write: Callable[[Estimate | None], Written]) -> list[EffectRow]:
    return [
        EffectRow(
            f" {TIMES} ".join(effect.accelerators),
            ORDERS.get(len(effect.accelerators), f"of {len(effect.accelerators)}"),
            write(effect.average),
            write(effect.alone),
            effect.why or "",
        )
        for effect in effects.effects
    ]
