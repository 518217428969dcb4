"""The steps of a run as geometry: a band of models, a row a branch, seconds, and what was measured.

The template draws it as SVG. Every state differs in letter or pattern, not in colour alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from itertools import groupby, pairwise
from typing import TYPE_CHECKING

from sraccel.report.page.shapes import Box, Curve, Key, Label, Panel
from sraccel.report.steps import (
    branches,
    call_in_words,
    role_letters,
    stretch_of,
    summary,
    table_rows,
)
from sraccel.report.words import NOT_MEASURED, duration, finite
from sraccel.text import shortened

if TYPE_CHECKING:
    from sraccel.report.model import CallRecord, Report, StepRecord

LOOKS = 4
"""So many models differ in colour; letters go on beyond."""
DRAWING_WIDTH = 960
NARROWEST, WIDEST = 14.0, 34.0
BAND_TOP, BAND = 24.0, 22.0
ROW, ROW_GAP = 24.0, 4.0
PANEL, PANEL_GAP = 110.0, 36.0
FOOT = 42.0
LABEL_CHARACTERS = 12
CHARACTER = 7.2
"""Width of one, about."""
REST = "rest"
MARKS = ("dot", "diamond")


def timeline(report: Report, width: float = DRAWING_WIDTH) -> Drawing | None:
    """The drawing of a run's steps, about so wide; None if it took none."""
    return Drawing(report, width) if report.steps else None


class Drawing:
    """All that the template draws, in pixels.

    Attributes:
        band: the models, from left to right; switches: where one takes over.
        rows: the names of the branches; cells: their calls, step by step.
        seconds, bars: the time of each step; bare: level and words of the bare run's, if known.
        measured: a panel for each accelerator that measures something.
        numbers: of steps; keys: of the legend; summary, columns, table: the same in words.
    """

    def __init__(self, report: Report, width: float) -> None:
        self.report, self.steps = report, report.steps
        self.branches = branches(self.steps)
        self.letters = role_letters(self.steps)
        roles = dict.fromkeys([*(step.denoiser for step in self.steps), *self.letters])
        self.looks = {role: f"m{number % LOOKS}" for number, role in enumerate(roles)}
        self.pitch = min(WIDEST, max(NARROWEST, width / len(self.steps)))
        self.rows_top = BAND_TOP + BAND + 8
        rows_bottom = self.rows_top + len(self.branches) * (ROW + ROW_GAP)
        self.seconds = _panel("Time / step", "ms", rows_bottom, map(_time, self.steps))
        self.bare = self._scale_seconds()
        self.measured = list(self._panels())
        self.bottom = [self.seconds, *self.measured][-1].bottom
        self.width = len(self.steps) * self.pitch + 8
        self.height = self.bottom + FOOT
        self._draw()

    def _draw(self) -> None:
        self.band = list(self._band())
        self.rows = [
            Label(0, self._row(number) + ROW / 2, shortened(branch, LABEL_CHARACTERS), branch)
            for number, branch in enumerate(self.branches)
        ]
        self.cells = list(self._cells())
        self.bars = [] if self.seconds.missing else list(self._bars())
        self.switches = list(self._switches())
        self.numbers = list(self._numbers())
        self.keys = list(self._keys())
        self.summary = summary(self.report)
        self.columns = [column.label for column in self.report.columns.values()]
        self.table = table_rows(self.report, self.branches)

    def _x(self, position: float) -> float:
        return position * self.pitch

    def _row(self, number: int) -> float:
        return self.rows_top + number * (ROW + ROW_GAP)

    def _band(self) -> Iterator[Box]:
        """One box a stretch of steps of the same model; the name stands in it if it fits."""
        position = 0
        for role, stretch in groupby(self.steps, key=lambda step: step.denoiser):
            members = list(stretch)
            width = len(members) * self.pitch - 2
            said = f"{role}, {stretch_of(members)}"
            shown = next((text for text in (said, role) if CHARACTER * len(text) + 12 < width), "")
            look = self.looks[role]
            yield Box(self._x(position), BAND_TOP, width, BAND, look, shown, said)
            position += len(members)

    def _cells(self) -> Iterator[Box]:
        for position, step in enumerate(self.steps):
            for call in step.calls:
                y = self._row(self.branches.index(call.branch))
                yield self._box(call, step, self._x(position), y, ROW, self.pitch - 2)

    def _box(
        self, call: CallRecord, step: StepRecord, x: float, y: float, height: float, width: float
    ) -> Box:
        letter = "" if call.reused else self.letters[call.denoiser]
        said = f"step {step.index}, {call.branch}: {call_in_words(call)}"
        return Box(x, y, width, height, self.looks[call.denoiser], letter, said, call.reused)

    def _scale_seconds(self) -> tuple[float, str] | None:
        """Set the scale of the seconds; returns the bare run's level and what to call it."""
        if self.seconds.missing:
            return None
        longest = max(_time(step) or 0.0 for step in self.steps)
        baseline = self.report.baseline
        bare = (finite(baseline.seconds) or 0.0) if baseline else 0.0
        steps = finite(self.report.num_inference_steps)
        level = bare / max(steps, 1) if steps is not None else 0.0
        self.seconds.scale_to([1000 * longest, 1000 * level], "{:,.4g}")
        said = f"bare run: {duration(level)} per step, on average"
        return (self.seconds.y(1000 * level), said) if level > 0 else None

    def _bars(self) -> Iterator[Box]:
        """Calls from the axis upwards, in the order of the branches, then what else a step took."""
        for position, step in enumerate(self.steps):
            x, bottom = self._x(position) + 1, self.seconds.bottom
            for call in sorted(step.calls, key=lambda call: self.branches.index(call.branch)):
                height = self._height(finite(call.seconds) or 0.0)
                bottom -= height
                yield self._box(call, step, x, bottom, height, self.pitch - 4)
            rest = (_time(step) or 0.0) - sum(finite(call.seconds) or 0.0 for call in step.calls)
            if (height := self._height(rest)) > 0:
                said = f"step {step.index}: {duration(rest)} beside its calls"
                yield Box(x, bottom - height, self.pitch - 4, height, REST, title=said)

    def _height(self, seconds: float) -> float:
        return max(0.0, self.seconds.bottom - self.seconds.y(1000 * seconds))

    def _panels(self) -> Iterator[Panel]:
        """One for each accelerator that measures something at the steps."""
        above = self.seconds.bottom
        for name, columns in groupby(self.report.columns, key=lambda key: key.rpartition(".")[0]):
            series = [self._values(column) for column in columns]
            known = [value for values in series for value in values if value is not None]
            panel = _panel(shortened(name, LABEL_CHARACTERS), "", above, known)
            panel.scale_to(known, "{:.3g}")
            panel.curves = [
                Curve(mark, self._points(panel, values))
                for mark, values in zip(itertools.cycle(MARKS), series, strict=False)
            ]
            yield panel
            above = panel.bottom

    def _values(self, column: str) -> list[float | None]:
        return [finite(step.measured.get(column)) for step in self.steps]

    def _points(self, panel: Panel, values: Iterable[float | None]) -> list[tuple[float, float]]:
        return [
            (self._x(position) + self.pitch / 2 - 1, panel.y(value))
            for position, value in enumerate(values)
            if value is not None
        ]

    def _switches(self) -> Iterator[Label]:
        """Where the model changes; said in words where there is room before the next."""
        pairs = enumerate(pairwise(self.steps), start=1)
        changed = [at for at, (before, after) in pairs if before.denoiser != after.denoiser]
        ends = [*changed[1:], len(self.steps)] if changed else []
        for position, following in zip(changed, ends, strict=True):
            step = self.steps[position]
            text = f"switch to {shortened(step.denoiser, LABEL_CHARACTERS)} at step {step.index}"
            room = self._x(following - position)
            late = len(changed) == 1 and room < CHARACTER * len(text)
            fits = late or room > CHARACTER * len(text)
            yield Label(self._x(position) - 1, BAND_TOP - 12, text if fits else "", late=late)

    def _numbers(self) -> Iterator[Label]:
        apart = next(n for n in (1, 2, 5, 10, 20, 50, 100, 1000) if n * self.pitch >= 34)
        for position, step in enumerate(self.steps):
            if step.index % apart == 0:
                x = self._x(position) + self.pitch / 2 - 1
                yield Label(x, self.bottom + 18, str(step.index))

    def _keys(self) -> Iterator[Key]:
        states = {(call.denoiser, call.reused) for step in self.steps for call in step.calls}
        for role, letter in self.letters.items():
            look = self.looks[role]
            if (role, False) in states:
                yield Key("cell", f"{role} computed", look, letter)
            if (role, True) in states:
                yield Key("cell", f"{role}, blocks skipped and residual reused", look, reused=True)
        if not self.seconds.missing:
            yield Key("cell", "rest of the step: guidance, scheduler", REST)
        if self.bare:
            yield Key("bare", self.bare[1])
        curves = (curve for panel in self.measured for curve in panel.curves)
        for curve, column in zip(curves, self.report.columns.values(), strict=True):
            if curve.points:
                yield Key(curve.mark, f"{column.label}: {column.description}")
        if len({step.denoiser for step in self.steps}) > 1:
            yield Key("switch", "switch of the model")


def _time(step: StepRecord) -> float | None:
    """A step's seconds, at least those of its calls; None if neither was taken."""
    calls = [finite(call.seconds) for call in step.calls]
    known = [value for value in calls if value is not None]
    whole = finite(step.seconds)
    return max(whole or 0.0, sum(known)) if known or whole is not None else None


def _panel(name: str, unit: str, above: float, values: Iterable[float | None]) -> Panel:
    """Below what ends at `above`; low if there is nothing to draw."""
    top = above + PANEL_GAP
    measured = any(value is not None for value in values)
    missing = "" if measured else NOT_MEASURED
    return Panel(name, unit, top, top + (PANEL if measured else 0), missing=missing)
