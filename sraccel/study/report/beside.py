"""A study's report in words, to stand beside another one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sraccel.report.side_by_side import Said, Side, in_words, made_by, said
from sraccel.report.words import metric
from sraccel.study.report.cells import metrics, quality
from sraccel.study.report.estimates import number, times
from sraccel.study.report.harmless import harmless
from sraccel.study.report.headline import (
    design_facts,
    figures,
    notices,
    on_what,
    title,
    verdict,
)

if TYPE_CHECKING:
    from sraccel.study.results import CellResult, StudyReport


def side_of_study(report: StudyReport, name: str) -> Side:
    """The figures of the full stack, of every cell and every pair, and how they were made."""
    report = harmless(report)
    names = metrics(report)
    return Side(
        name,
        title(report),
        notices(report),
        {
            "Figures": {**in_words(figures(report, names)), "On": Said(on_what(report))},
            "Cells": {cell.name: _cell(cell, names) for cell in report.analysis.cells},
            "Pairs": {
                " and ".join(pair.accelerators): Said(f"kept {number(pair.kept, 3)}", verdict(pair))
                for pair in report.analysis.pairs
            },
            "Design": said(dict(design_facts(report))),
            **made_by(report.recipe, report.call, report.model, report),
        },
    )


def _cell(cell: CellResult, names: list[str]) -> Said:
    qualities = [f"{metric(name).label} {quality(cell, name).value}" for name in names]
    return Said(str(times(cell.speedup)), "; ".join(qualities))
