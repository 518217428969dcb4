"""Tables of a study as rows of words, for the terminal and for Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sraccel.study.report.words import (
    KINDS,
    chain,
    counted,
    decimals,
    factor,
    full_stack,
    full_stacks,
    interval,
    known,
    metric,
    quality,
    share,
    signed,
    switched,
    verdict,
    weakest_pair,
)

if TYPE_CHECKING:
    from sraccel.study.report_model import (
        CellResult,
        Effect,
        Effects,
        Estimate,
        StudyReport,
    )

Row = list[str]
NOT_MEASURED = "not measured"
WORDS = ("kind", "in words", "remark")


@dataclass(frozen=True)
class Table:
    """Headings and rows; the first column names the row.

    Attributes:
        spare: columns that may be left out where there is little room, the first one first.
    """

    title: str
    headings: list[str]
    rows: list[Row]
    remark: str = ""
    spare: tuple[str, ...] = ()

    def is_words(self, heading: str) -> bool:
        """Whether a column holds words; others hold numbers."""
        return heading == self.headings[0] or heading in WORDS

    def without(self, heading: str) -> Table:
        """The same with one column less."""
        place = self.headings.index(heading)
        rows = [row[:place] + row[place + 1 :] for row in self.rows]
        return replace(
            self, headings=[name for name in self.headings if name != heading], rows=rows
        )


def headline(report: StudyReport) -> Iterator[tuple[str, str]]:
    """Labels and values: the full stack's speed and quality, and the pair that keeps least."""
    cell, stacks = full_stack(report), len(full_stacks(report))
    yield (
        "full stack",
        _whole(cell) + (f" ({cell.name}, of {stacks})" if cell and stacks > 1 else ""),
    )
    if cell is not None and cell.quality:
        said = (f"{metric(name).heading} {_quality(cell, name)}" for name in cell.quality)
        yield "its quality", ", ".join(said)
    pair = weakest_pair(report)
    if pair is not None:
        kept = _with(decimals(known(pair.kept), 3), interval(pair.kept, 3))
        both = " and ".join(pair.accelerators)
        index = _with(decimals(known(pair.index), 2), interval(pair.index, 2))
        yield "least orthogonal", f"{both} keep {kept} of what they promise; index {index}"


def _whole(cell: CellResult | None) -> str:
    if cell is None or known(cell.speedup) is None:
        return NOT_MEASURED
    speed = _with(factor(known(cell.speedup)), interval(cell.speedup, 2))
    call = _with(factor(known(cell.whole_call)), interval(cell.whole_call, 2))
    return f"{speed} of denoising, {call} of the whole call"


def cells(report: StudyReport, names: Sequence[str]) -> Table:
    """All cells; `names` are the metrics."""
    labels = [metric(name).heading for name in names]
    return Table(
        "Cells",
        ["cell", "kind", "speedup", "whole call", *labels, "skipped", "switch", "runs"],
        [_cell(cell, names) for cell in report.analysis.cells],
    )


def cells_in_short(report: StudyReport, names: Sequence[str]) -> Table:
    """All cells, with the interval of the speedup alone."""
    labels = [metric(name).heading for name in names]
    headings = ["cell", "speedup", "interval", "whole call", *labels, "skipped", "switch", "runs"]
    rows = [
        [
            cell.name,
            factor(known(cell.speedup)),
            interval(cell.speedup, 2),
            factor(known(cell.whole_call)),
            *(quality(cell, name) for name in names),
            share(cell.reused),
            switched(cell.switch),
            str(cell.finished),
        ]
        for cell in report.analysis.cells
    ]
    spare = ("runs", "switch", "skipped", "whole call", *reversed(labels), "interval")
    return Table("Cells", headings, rows, spare=spare)


def _cell(cell: CellResult, names: Sequence[str]) -> Row:
    failed = f" ({cell.failed} failed)" if cell.failed else ""
    return [
        cell.name,
        KINDS[cell.kind],
        _with(factor(known(cell.speedup)), interval(cell.speedup, 2)),
        _with(factor(known(cell.whole_call)), interval(cell.whole_call, 2)),
        *(_quality(cell, name) for name in names),
        share(cell.reused),
        switched(cell.switch),
        f"{cell.finished}{failed}",
    ]


def _quality(cell: CellResult, name: str) -> str:
    estimate = cell.quality.get(name)
    value = quality(cell, name)
    return _with(value, interval(estimate, metric(name).places)) if value[:1].isdigit() else value


def pairs(report: StudyReport) -> Table:
    """How accelerators go together, two and two."""
    rows = [
        [
            chain(pair.accelerators),
            _with(decimals(known(pair.index), 2), interval(pair.index, 2)),
            _with(decimals(known(pair.kept), 3), interval(pair.kept, 3)),
            factor(known(pair.together)),
            factor(known(pair.product)),
            verdict(pair),
        ]
        for pair in report.analysis.pairs
    ]
    remark = (
        "Index: logarithm of the pair's speedup over the sum of both logarithms; at 1 they add "
        "up. Kept: the pair's speedup over the product of both."
    )
    headings = ["pair", "index", "kept", "together", "product", "in words"]
    spare = ("product", "together", "index", "kept")
    return Table("Do they add up?", headings, rows, remark, spare)


def shares(report: StudyReport, names: Sequence[str]) -> Iterator[Table]:
    """Who contributes what to the full stack's speed, and to what it loses."""
    headings = ["accelerator", "part", "of the whole", "alone"]
    speed = report.analysis.speed
    rows = [
        [
            item.accelerator,
            _with(factor(known(item.value), 3), interval(item.value, 3)),
            share(known(item.share)),
            factor(known(_alone(speed, item.accelerator)), 3),
        ]
        for item in speed.shapley
    ]
    spare = ("of the whole", "alone")
    yield Table("Parts of the full stack's speedup (factors)", headings, rows, spare=spare)
    for name in names:
        effects = report.analysis.losses.get(name)
        if effects is not None:
            title = f"Parts of the full stack's {metric(name).lost} (summands)"
            yield Table(title, headings, _summands(effects, metric(name).loss_places))


def _summands(effects: Effects, places: int) -> list[Row]:
    return [
        [
            item.accelerator,
            _with(signed(known(item.value), places), interval(item.value, places)),
            share(known(item.share)),
            signed(known(_alone(effects, item.accelerator)), places),
        ]
        for item in effects.shapley
    ]


def _alone(effects: Effects, name: str) -> Estimate | None:
    found = (effect.alone for effect in effects.effects if effect.accelerators == [name])
    return next(found, None)


def orders(report: StudyReport) -> Table:
    """What the order of two accelerators does to the speedup."""
    rows = [
        [
            f"{order.first} before {order.second}",
            _with(factor(known(order.factor), 3), interval(order.factor, 3)),
            order.why or "",
        ]
        for order in report.analysis.orders
    ]
    return Table("Order", ["order", "factor", "remark"], rows)


def effects(report: StudyReport, names: Sequence[str]) -> Iterator[Table]:
    """Effects of every order, on speed as factors and on losses as differences."""
    headings = ["effect", "average", "alone", "remark"]
    rows = [_effect(effect, None) for effect in report.analysis.speed.effects]
    yield Table("Effects on the speedup (factors)", headings, rows)
    for name in names:
        found = report.analysis.losses.get(name)
        if found is not None:
            rows = [_effect(effect, metric(name).loss_places) for effect in found.effects]
            yield Table(f"Effects on the {metric(name).lost} (differences)", headings, rows)


def _effect(effect: Effect, places: int | None) -> Row:
    def text(estimate: Estimate | None) -> str:
        if places is None:
            return _with(factor(known(estimate), 3), interval(estimate, 3))
        return _with(signed(known(estimate), places), interval(estimate, places))

    return [chain(effect.accelerators), text(effect.average), text(effect.alone), effect.why or ""]


def failures(report: StudyReport) -> list[str]:
    """`NAME: 2 runs failed: ERROR`, a line a cell."""
    return [
        f"{cell.name}: {counted(cell.failed, 'run')} failed: {'; '.join(cell.errors)}"
        for cell in report.analysis.cells
        if cell.failed
    ]


def _with(value: str, bounds: str) -> str:
    return f"{value} ({bounds})" if bounds else value
