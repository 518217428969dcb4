"""The files of a study's report."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from sraccel.files import replacing

if TYPE_CHECKING:
    from sraccel.study.report_model import StudyReport

FILES = ("report.html", "report.md", "report.json", "cells.csv", "effects.csv")


def save_report(report: StudyReport, folder: Path) -> None:
    """Write `FILES` into the study's folder, where the videos are, too.

    Raises:
        OutputError: one cannot be written.
    """
    from sraccel.study.report.page import save_page

    report.save(folder / "report.json")
    for name, text in _texts(report):
        with replacing(folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
    save_page(report, folder / "report.html", folder)


def _texts(report: StudyReport) -> Iterator[tuple[str, str]]:
    from sraccel.study.report.csv_files import cells_csv, effects_csv
    from sraccel.study.report.markdown import to_markdown

    yield "report.md", to_markdown(report)
    yield "cells.csv", cells_csv(report)
    yield "effects.csv", effects_csv(report)
