"""The report of a study for a terminal: warnings, headline, cells, pairs and shares.

Nothing depends on colour alone, and a terminal without Unicode can show it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Table as Grid

from sraccel.report.table import headline, plain_text, warnings_panel
from sraccel.report.words import chain, factor, metric, share
from sraccel.study.report.cells import metrics, quality, switched
from sraccel.study.report.estimates import interval, known, number, times
from sraccel.study.report.harmless import harmless
from sraccel.study.report.headline import figures, notices, on_what, title, verdict, what_was_run

if TYPE_CHECKING:
    from sraccel.study.results import Effects, Estimate, StudyReport

WORDS = ("in words", "remark")
"""Columns that hold words, as the first one does; others hold numbers."""
LEAST_WORDS = 22
"""Columns that words need at least."""
GAP = 3


@dataclass(frozen=True)
class Columns:
    """A table that leaves out what the console has no room for; the first column names the row.

    Attributes:
        spare: columns that may be left out, the first one first.
    """

    title: str
    headings: list[str]
    rows: list[list[str]]
    spare: tuple[str, ...] = ()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        table = self
        for heading in self.spare:
            if table.width <= options.max_width:
                break
            table = table.without(heading)
        yield table.grid()

    @property
    def width(self) -> int:
        """In characters, about, if words are folded and numbers are not."""
        widths = [
            min(LEAST_WORDS, longest) if self.is_words(heading) else longest
            for place, heading in enumerate(self.headings)
            for longest in [max(len(row[place]) for row in [self.headings, *self.rows])]
        ]
        return sum(widths) + GAP * len(widths)

    def is_words(self, heading: str) -> bool:
        """Whether a column holds words."""
        return heading == self.headings[0] or heading in WORDS

    def without(self, heading: str) -> Columns:
        """The same with one column less."""
        place = self.headings.index(heading)
        return replace(
            self,
            headings=[name for name in self.headings if name != heading],
            rows=[row[:place] + row[place + 1 :] for row in self.rows],
        )

    def grid(self) -> RenderableType:
        """All of it, as rich draws it."""
        grid = Grid(
            box=box.SIMPLE_HEAD,
            pad_edge=False,
            padding=(0, 1),
            show_edge=False,
            title=plain_text(self.title, "bold"),
            title_justify="left",
        )
        for name in self.headings:
            words = self.is_words(name)
            grid.add_column(
                plain_text(name),
                justify="left" if words else "right",
                no_wrap=not words,
                overflow="fold",
            )
        for row in self.rows:
            grid.add_row(*map(plain_text, row))
        return Padding(grid, (0, 0, 1, 1))


def table(report: StudyReport) -> RenderableType:
    """The report for a terminal; tables leave columns out where it is narrow."""
    report = harmless(report)
    names = metrics(report)
    facts = [("study", title(report)), ("runs", what_was_run(report)), ("device", on_what(report))]
    found = [
        _cells(report, names),
        _pairs(report),
        _combinations(report),
        _shares(report),
        _orders(report),
    ]
    return Group(
        *warnings_panel(notices(report)),
        headline([fact for fact in facts if fact[1]], figures(report, names), []),
        *(item for item in found if item.rows),
    )


def _cells(report: StudyReport, names: list[str]) -> Columns:
    labels = [metric(name).heading for name in names]
    headings = ["cell", "speedup", "interval", "whole call", *labels, "skipped", "switch", "runs"]
    rows = [
        [
            cell.name,
            factor(known(cell.speedup)),
            interval(cell.speedup, 2),
            factor(known(cell.whole_call)),
            *(quality(cell, name).value for name in names),
            share(cell.reused),
            switched(cell.switch).value,
            str(cell.finished),
        ]
        for cell in report.analysis.cells
    ]
    spare = ("runs", "switch", "skipped", "whole call", *reversed(labels), "interval")
    return Columns("Cells", headings, rows, spare)


def _pairs(report: StudyReport) -> Columns:
    rows = [
        [
            chain(pair.accelerators),
            str(number(pair.index, 2)),
            str(number(pair.kept, 3)),
            factor(known(pair.together)),
            factor(known(pair.product)),
            verdict(pair),
        ]
        for pair in report.analysis.pairs
    ]
    headings = ["pair", "index", "kept", "together", "product", "in words"]
    return Columns("Do they add up?", headings, rows, ("product", "together", "index", "kept"))


def _combinations(report: StudyReport) -> Columns:
    rows = [
        [
            chain(found.accelerators),
            factor(known(found.together)),
            factor(known(found.product)),
            factor(known(found.from_pairs)),
            str(times(found.beside_pairs, 3)),
        ]
        for found in report.analysis.combinations
    ]
    headings = ["combination", "together", "product", "from pairs", "together over from pairs"]
    return Columns("Predicted from pairs", headings, rows, ("product", "together", "from pairs"))


def _shares(report: StudyReport) -> Columns:
    speed = report.analysis.speed
    rows = [
        [
            item.accelerator,
            str(times(item.value, 3)),
            share(known(item.share)),
            factor(known(_alone(speed, item.accelerator)), 3),
        ]
        for item in speed.shapley
    ]
    headings = ["accelerator", "part", "of the whole", "alone"]
    title = "Parts of the full stack's speedup (factors)"
    return Columns(title, headings, rows, ("of the whole", "alone"))


def _alone(effects: Effects, name: str) -> Estimate | None:
    found = (effect.alone for effect in effects.effects if effect.accelerators == [name])
    return next(found, None)


def _orders(report: StudyReport) -> Columns:
    rows = [
        [f"{order.first} before {order.second}", str(times(order.factor, 3)), order.why or ""]
        for order in report.analysis.orders
    ]
    return Columns("Order", ["order", "factor", "remark"], rows)
