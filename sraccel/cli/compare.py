"""`sraccel compare`: two reports, of runs or of studies, side by side."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from sraccel.cli.failures import Debug, reported
from sraccel.text import first_complaint

if TYPE_CHECKING:
    from sraccel.report.side_by_side import Row, Side, SideBySide

Place = Annotated[
    Path,
    typer.Argument(help="Folder that `demo`, `generate` or `study` wrote, or a report.json in it."),
]


def compare(
    one: Place,
    other: Place,
    out: Annotated[Path | None, typer.Option(help="Also write a page, `compare.html` say.")] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Show also what is the same in both, beside the figures.")
    ] = False,
    debug: Debug = False,
) -> None:
    """Put two reports side by side, of runs or of studies: the figures, and what differs in how
    they were made.
    """
    with reported(debug):
        from sraccel.report.side_by_side import save_side_by_side, short_names, side_by_side

        names = short_names(one, other)
        pair = side_by_side(_side(one, names[0]), _side(other, names[1]))
        Console().print(_table(pair, everything))
        if out is not None:
            path = save_side_by_side(pair, out)
            Console().print(f"wrote {path}", soft_wrap=True, markup=False, highlight=False)


def _side(place: Path, name: str) -> Side:
    from sraccel.cli.report import read_report, report_in, report_text
    from sraccel.report.side_by_side import side_of

    path = report_in(place)
    try:
        content = json.loads(report_text(path))
    except (ValueError, RecursionError) as error:
        raise typer.BadParameter(f"{path} is not JSON: {error}") from None
    if isinstance(content, dict) and "analysis" in content:
        return _study_side(path, name)
    return side_of(read_report(path), name)


def _study_side(path: Path, name: str) -> Side:
    from pydantic import ValidationError

    from sraccel.cli.report import report_text
    from sraccel.study.report.beside import side_of_study
    from sraccel.study.results import StudyReport

    try:
        report = StudyReport.model_validate_json(report_text(path))
    except ValidationError as error:
        raise typer.BadParameter(
            f"{path} is not a study's report: {first_complaint(error.errors())}"
        ) from None
    return side_of_study(report, name)


def _table(pair: SideBySide, everything: bool) -> RenderableType:
    parts: list[RenderableType] = []
    for side in (pair.one, pair.other):
        parts += [_plain(f"! {side.name}: {notice}") for notice in side.notices]
    for heading, rows in pair.sections.items():
        shown = [row for row in rows if everything or heading == "Figures" or not row.same]
        same = len(rows) - len(shown)
        if shown:
            parts.append(_section(heading, shown, pair))
        if same:
            parts.append(_plain(f"{heading}: {same} more {'is' if same == 1 else 'are'} the same"))
    return Group(*parts)


def _section(heading: str, rows: list[Row], pair: SideBySide) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for name in (heading, pair.one.name, pair.other.name):
        table.add_column(_plain(name), overflow="fold")
    for row in rows:
        style = "" if row.same else "bold"
        said = (_plain(str(one), style) for one in (row.one, row.other))
        table.add_row(_plain(row.name), *said)
    return table


def _plain(text: str, style: str = "") -> Text:
    from sraccel.report.table import plain_text

    return plain_text(text, style)
