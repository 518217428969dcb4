"""Records of runs, as arrays over blocks and cells.

A block is a prompt and a seed. Whatever is particular to it (a prompt that takes long, a machine
that was slow that hour) is common to its cells, and leaves with the comparison to the bare run.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from sraccel.loop.clock import median
from sraccel.study.analysis.resampling import MIN_UNITS, Units
from sraccel.study.cell import BARE, Block, Cell, CellRun

Matrix = npt.NDArray[np.float64]

Loss = Callable[[float, float], float]
"""Called as `loss(value, value_of_bare_in_the_same_block)`; more is worse, 0 is as good as bare."""

SecondsOf = Callable[[CellRun], float | None]
When = tuple[int, int, str]
"""Repeat, session, and the device, which no comparison goes beyond."""
Times = dict[When, float]
"""Seconds of a cell in a block."""


@dataclass(frozen=True)
class BlockTable:
    """What was measured, by block and cell. NaN: it was not.

    Attributes:
        runs: of the study's cells, in the order in which they were made.
        log_speedup: natural log of bare seconds / the cell's, of the denoising loop; shape
            (blocks, cells). Logs, since effects on logs add up exactly: their mean over blocks is
            the log of a geometric mean, and a ratio of geometric means is that of the ratios.
        log_whole_call: the same of the pipeline's call.
        quality: by metric, shape (blocks, cells).
        loss: by metric, what is lost to the bare run of the same block; shape (blocks, cells).
        bare_blocks: blocks in which the bare pipeline has a finished run.
        units: of each block, the number of what is drawn by the bootstrap: its prompt, or itself
            where there are too few prompts for an interval; shape (blocks,).
        drawn: what a unit is.
    """

    runs: list[CellRun]
    log_speedup: Matrix
    log_whole_call: Matrix
    quality: dict[str, Matrix]
    loss: dict[str, Matrix]
    bare_blocks: int
    units: Units
    drawn: Literal["prompts", "blocks"]


def bare_loss(value: float, bare: float) -> float:
    """What is lost to bare, of a metric of which more is better."""
    return bare - value


def tabulate(
    runs: Sequence[CellRun], cells: Sequence[Cell], losses: Mapping[str, Loss]
) -> BlockTable:
    """Arrays whose columns are `cells`, whatever the order of the runs."""
    axes = Axes(runs, cells)
    quality = {
        metric: axes.quality(metric)
        for metric in dict.fromkeys(name for run in axes.finished for name in run.quality)
    }
    return BlockTable(
        runs=axes.runs,
        log_speedup=axes.log_ratios(lambda run: run.seconds),
        log_whole_call=axes.log_ratios(lambda run: run.call_seconds),
        quality=quality,
        loss={
            metric: axes.lost(values, losses.get(metric, bare_loss))
            for metric, values in quality.items()
        },
        bare_blocks=len({run.block for run in axes.finished if run.cell == BARE}),
        units=axes.units(),
        drawn=axes.drawn,
    )


class Axes:
    """Rows (blocks, sorted) and columns (cells, as given) of the arrays."""

    def __init__(self, runs: Sequence[CellRun], cells: Sequence[Cell]) -> None:
        self.columns = {cell.name: column for column, cell in enumerate(cells)}
        self.runs = sorted(
            (run for run in runs if run.cell in self.columns),
            key=lambda run: (run.session, run.started, run.repeat),
        )
        self.finished = [run for run in self.runs if run.outcome == "finished"]
        self.rows = {block: row for row, block in enumerate(sorted({r.block for r in self.runs}))}

    @property
    def drawn(self) -> Literal["prompts", "blocks"]:
        """What the bootstrap draws."""
        prompts = {block.prompt for block in self.rows}
        return "prompts" if MIN_UNITS <= len(prompts) < len(self.rows) else "blocks"

    def units(self) -> Units:
        """The unit of each row."""
        if self.drawn == "blocks":
            return np.arange(len(self.rows))
        prompts = [block.prompt for block in self.rows]
        return np.unique(prompts, return_inverse=True)[1]

    def empty(self) -> Matrix:
        """Nothing measured."""
        return np.full((len(self.rows), len(self.columns)), np.nan)

    def log_ratios(self, seconds_of: SecondsOf) -> Matrix:
        """Log of bare seconds / the cell's, the median over repeats of which both finished.

        Runs of the same repeat lie near each other in time, so that a machine that drifts has
        drifted for both. Where a study was stopped within a block, that holds for the runs of one
        session. Both ran on one device: what a device does to all of its runs leaves the ratio.
        """
        times = self._times(seconds_of)
        ratios = self.empty()
        for (block, cell), seconds in times.items():
            bare = times.get((block, BARE), {})
            pairs = [(_beside(time, bare), taken) for time, taken in seconds.items()]
            both = [math.log(other / taken) for other, taken in pairs if other is not None]
            if both:
                ratios[self.rows[block], self.columns[cell]] = median(both)
        return ratios

    def _times(self, seconds_of: SecondsOf) -> dict[tuple[Block, str], Times]:
        """Seconds of every block and cell."""
        times: dict[tuple[Block, str], Times] = {}
        for run in self.finished:
            seconds = seconds_of(run)
            if seconds is not None and seconds > 0:
                when = (run.repeat, run.session, run.device)
                times.setdefault((run.block, run.cell), {})[when] = seconds
        return times

    def quality(self, metric: str) -> Matrix:
        """A metric's values; of the first repeat that has one."""
        values = self.empty()
        for run in sorted(self.finished, key=lambda run: run.repeat, reverse=True):
            if metric in run.quality:
                values[self.rows[run.block], self.columns[run.cell]] = run.quality[metric]
        return values

    def lost(self, values: Matrix, loss: Loss) -> Matrix:
        """What every value loses to the bare one of its row."""
        lost = self.empty()
        if BARE not in self.columns:
            return lost
        bare = values[:, self.columns[BARE]]
        for row, column in np.argwhere(np.isfinite(values) & np.isfinite(bare)[:, None]):
            lost[row, column] = loss(float(values[row, column]), float(bare[row]))
        return lost


def _beside(when: When, bare: Times) -> float | None:
    """Seconds of the bare run to compare with: same repeat and device, best of the same session."""
    if when in bare:
        return bare[when]
    repeat, _, device = when
    return next((time for (at, _, on), time in bare.items() if (at, on) == (repeat, device)), None)
