"""The files of a study's report."""

from __future__ import annotations

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
    from sraccel.study.report.csv_files import cells_csv, effects_csv
    from sraccel.study.report.page import render_page

    report.save(folder / "report.json")
    save_text(cells_csv(report), folder / "cells.csv")
    save_text(effects_csv(report), folder / "effects.csv")
    save_text(render_page(report, folder), folder / "report.html")
