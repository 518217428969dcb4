"""What is said of cells: their kinds, their metrics, where they switched, which are the whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sraccel.report.words import DASH, IDENTICAL, finite, metric
from sraccel.study.report.estimates import Written, known, sortable, written

if TYPE_CHECKING:
    from sraccel.study.results import CellResult, StudyReport, Switch

KINDS = {"bare": "bare", "stack": "stack", "plain_steps": "plain steps"}
SPEED = "speedup"
MAIN_METRIC = "semantic"
"""Shown first where it was taken."""


def metrics(report: StudyReport) -> list[str]:
    """Names of all metrics that were taken, the main one first."""
    found: dict[str, None] = {}
    for cell in report.analysis.cells:
        found |= dict.fromkeys([*cell.quality, *cell.loss])
    found |= dict.fromkeys(report.analysis.losses)
    return sorted(found, key=lambda name: name != MAIN_METRIC)


def quality(cell: CellResult, name: str) -> Written:
    """A cell's value of a metric."""
    estimate = cell.quality.get(name)
    value = metric(name).number(known(estimate))
    if value == IDENTICAL:
        return Written(value, sort=sortable(known(estimate)))
    return written(estimate, value, metric(name).places)


def switched(switch: Switch | None) -> Written:
    """Where a cell's runs switched, in the middle: `24`, `never`; and how far they were apart."""
    if switch is None:
        return Written(DASH)
    median = finite(switch.median)
    if median is None:
        return Written("never")
    apart = switch.least != switch.most and None not in (switch.least, switch.most)
    ends = [f"{switch.least} to {switch.most}"] if apart else []
    spread = ", ".join(ends + [f"{switch.never} never"] * bool(switch.never))
    return Written(f"{median:g}", spread, sortable(median))


def full_stack(report: StudyReport) -> CellResult | None:
    """The cell with all accelerators of the recipe: of several, the first in the recipe's order."""
    whole = full_stacks(report)
    ordered = (cell for cell in whole if cell.accelerators == report.accelerators)
    return next(ordered, whole[0] if whole else None)


def full_stacks(report: StudyReport) -> list[CellResult]:
    """All cells with all accelerators: they differ in order, or in settings."""
    wanted = set(report.accelerators)
    return [
        cell
        for cell in report.analysis.cells
        if wanted and cell.kind == "stack" and set(cell.accelerators) == wanted
    ]
