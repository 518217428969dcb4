"""The files of a study's report."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from sraccel.files import save_text

if TYPE_CHECKING:
    from sraccel.study.results import StudyReport

FILES = ("report.html", "report.json", "cells.csv", "effects.csv")


def save_report(report: StudyReport, folder: Path) -> None:
    """Write `FILES` into the study's folder, where the videos are, too.

    Raises:
        OutputError: one cannot be written.
    """
    report.save(folder / "report.json")
    for name, text in _texts(report, folder):
        save_text(text, folder / name)


def _texts(report: StudyReport, folder: Path) -> Iterator[tuple[str, str]]:
    from sraccel.study.report.csv_files import cells_csv, effects_csv
    from sraccel.study.report.page import render_page

    yield "cells.csv", cells_csv(report)
    yield "effects.csv", effects_csv(report)
    yield "report.html", render_page(report, folder)
