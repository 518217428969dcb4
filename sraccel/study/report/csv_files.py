"""A study as CSV: a row a cell, and a row an effect. What is missing is empty."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from sraccel.study.report.cells import SPEED, metrics

if TYPE_CHECKING:
    from sraccel.study.results import CellResult, Effects, Estimate, StudyReport

Value = str | float | int | None
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""Spreadsheets run what begins so."""
SEPARATOR = " + "
ABOUT = (
    "name",
    "kind",
    "accelerators",
    "settings",
    "steps",
    "blocks",
    "runs",
    "failed",
    "errors",
    "seconds",
)


def cells_csv(report: StudyReport) -> str:
    """Name, kind, settings, runs, and all estimates of each cell."""
    names = metrics(report)
    rows = ([*_about(cell), *_measured(cell, names)] for cell in report.analysis.cells)
    return _csv(_headings(names), rows)


def effects_csv(report: StudyReport) -> str:
    """Effects on the speedup (factors), and on the loss by each metric (differences)."""
    headings = ["outcome", "accelerators", "order", *_three("average"), *_three("alone"), "why"]
    outcomes = {SPEED: report.analysis.speed}
    outcomes |= {f"loss_{name}": found for name, found in report.analysis.losses.items()}
    rows = (row for name, found in outcomes.items() for row in _effects(name, found))
    return _csv(headings, rows)


def _csv(headings: Sequence[str], rows: Iterable[Sequence[Value]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(map(_inert, headings))
    writer.writerows([_inert(value) for value in row] for row in rows)
    return text.getvalue()


def _inert(value: Value) -> Value:
    """Text that no spreadsheet takes for a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def _three(name: str) -> list[str]:
    return [name, f"{name}_low", f"{name}_high"]


def _headings(names: Sequence[str]) -> list[str]:
    found = [*ABOUT, *_three("speedup"), *_three("whole_call")]
    for name in names:
        found += [*_three(name), *_three(f"loss_{name}"), f"front_{name}"]
    return [*found, "reused", "switch_median", "switch_least", "switch_most", "switch_never"]


def _about(cell: CellResult) -> list[Value]:
    return [
        cell.name,
        cell.kind,
        SEPARATOR.join(cell.accelerators),
        json.dumps(cell.settings, default=str) if cell.settings else "",
        cell.num_inference_steps,
        cell.blocks,
        cell.finished,
        cell.failed,
        "; ".join(cell.errors),
        cell.seconds,
    ]


def _measured(cell: CellResult, names: Sequence[str]) -> list[Value]:
    found: list[Value] = [*_numbers(cell.speedup), *_numbers(cell.whole_call)]
    for name in names:
        found += [*_numbers(cell.quality.get(name)), *_numbers(cell.loss.get(name))]
        found.append(cell.front.get(name))
    switch = cell.switch
    places = [switch.median, switch.least, switch.most, switch.never] if switch else [None] * 4
    return [*found, cell.reused, *places]


def _numbers(estimate: Estimate | None) -> list[Value]:
    return [estimate.value, estimate.low, estimate.high] if estimate else [None] * 3


def _effects(outcome: str, effects: Effects) -> Iterator[list[Value]]:
    for effect in effects.effects:
        yield [
            outcome,
            SEPARATOR.join(effect.accelerators),
            len(effect.accelerators),
            *_numbers(effect.average),
            *_numbers(effect.alone),
            effect.why,
        ]
