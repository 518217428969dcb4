"""The report of a study for a terminal: warnings, headline, cells, pairs and shares.

Nothing depends on colour alone, and a terminal without Unicode can show it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table as Grid
from rich.text import Text

from sraccel.report.page.words import DASH, TIMES
from sraccel.study.report import tables
from sraccel.study.report.plain import plain
from sraccel.study.report.words import metrics, notices, on_what, title, what_was_run

if TYPE_CHECKING:
    from sraccel.study.report_model import StudyReport

PLAIN = str.maketrans({TIMES: "x", DASH: "-", "\N{MINUS SIGN}": "-"})
WORDS = 22
"""Columns that words need at least."""
GAP = 3


def table(report: StudyReport) -> RenderableType:
    """The report for a terminal; tables leave columns out where it is narrow."""
    report = plain(report)
    parts: list[RenderableType] = []
    if told := [*notices(report), *tables.failures(report)]:
        parts.append(_warnings(told))
    parts.append(_headline(report))
    names = metrics(report)
    found = [tables.cells_in_short(report, names), tables.pairs(report)]
    found += [*tables.shares(report, []), tables.orders(report)]
    parts += [Fitted(item) for item in found if item.rows]
    return Group(*parts)


class Fitted:
    """A table that leaves out what the console has no room for."""

    def __init__(self, table: tables.Table) -> None:
        self.table = table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        table = self.table
        for heading in table.spare:
            if _width(table) <= options.max_width:
                break
            table = table.without(heading)
        yield _table(table)


def _width(table: tables.Table) -> int:
    """In characters, about, if words are folded and numbers are not."""
    widths = [
        min(WORDS, longest) if table.is_words(heading) else longest
        for place, heading in enumerate(table.headings)
        for longest in [max(len(row[place]) for row in [table.headings, *table.rows])]
    ]
    return sum(widths) + GAP * len(widths)


def _warnings(warnings: list[str]) -> RenderableType:
    rows = Grid.grid(padding=(0, 1))
    for warning in warnings:
        rows.add_row("!", _text(warning))
    return Panel(rows, title="warnings", title_align="left", border_style="yellow")


def _headline(report: StudyReport) -> RenderableType:
    rows = Grid.grid(padding=(0, 2))
    rows.add_column(style="bold", no_wrap=True)
    rows.add_column()
    rows.add_row("study", _text(title(report)))
    rows.add_row("runs", _text(what_was_run(report)))
    if device := on_what(report):
        rows.add_row("device", _text(device))
    for place, (label, value) in enumerate(tables.headline(report)):
        rows.add_row(label, _text(value, "" if place else "bold"))
    return Padding(rows, (0, 0, 1, 1))


def _table(table: tables.Table) -> RenderableType:
    grid = Grid(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1),
        show_edge=False,
        title=_text(table.title, "bold"),
        title_justify="left",
    )
    for heading in table.headings:
        words = table.is_words(heading)
        grid.add_column(
            _text(heading), justify="left" if words else "right", no_wrap=not words, overflow="fold"
        )
    for row in table.rows:
        grid.add_row(*map(_text, row))
    return Padding(grid, (0, 0, 1, 1))


def _text(words: str, style: str = "") -> Text:
    return Text(words.translate(PLAIN), style=style)
