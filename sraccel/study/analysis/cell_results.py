"""What is known of each cell by itself, and which cells no other one beats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from sraccel.loop.clock import median
from sraccel.study.analysis.blocks import BlockTable, Matrix
from sraccel.study.analysis.outcome import Outcome, Outcomes
from sraccel.study.cell import Cell, CellRun
from sraccel.study.results import CellResult, Estimate, Switch

DIGITS = 12
"""Means are rounded to so many, so that equal cells do not differ by how sums were rounded."""


def describe_cells(
    table: BlockTable, cells: Sequence[Cell], outcomes: Outcomes
) -> list[CellResult]:
    """Every cell, in the order given."""
    runs: dict[str, list[CellRun]] = {cell.name: [] for cell in cells}
    for run in table.runs:
        runs[run.cell].append(run)
    fronts = {
        metric: shares_on_front(outcomes.speed, loss) for metric, loss in outcomes.losses.items()
    }
    switching = _switching(cells, runs)
    described = []
    for cell in cells:
        result = _runs_of(cell, runs[cell.name])
        result.speedup = _mean(outcomes.speed, cell.name)
        result.whole_call = _mean(outcomes.whole_call, cell.name)
        result.quality = _means(outcomes.qualities, cell.name)
        result.loss = _means(outcomes.losses, cell.name)
        result.front = {
            metric: front[cell.name] for metric, front in fronts.items() if cell.name in front
        }
        result.switch = _switch(_finished(runs[cell.name]), may=bool(switching & {*cell.uses}))
        described.append(result)
    return described


def _runs_of(cell: Cell, runs: Sequence[CellRun]) -> CellResult:
    """What its runs say without any other cell's."""
    finished = _finished(runs)
    seconds = [run.seconds for run in finished if run.seconds is not None]
    calls = sum(run.calls for run in finished)
    return CellResult(
        name=cell.name,
        kind=cell.kind,
        accelerators=list(cell.uses),
        settings=cell.settings,
        blocks=len({run.block for run in finished}),
        finished=len(finished),
        failed=len(runs) - len(finished),
        errors=list(dict.fromkeys(run.error for run in runs if run.error is not None)),
        seconds=median(seconds) if seconds else None,
        reused=sum(run.reused_calls for run in finished) / calls if calls else None,
    )


def _finished(runs: Sequence[CellRun]) -> list[CellRun]:
    return [run for run in runs if run.outcome == "finished"]


def _mean(outcome: Outcome, cell: str) -> Estimate | None:
    return outcome.estimate({cell: 1.0})[0]


def _means(outcomes: Mapping[str, Outcome], cell: str) -> dict[str, Estimate]:
    means = {metric: _mean(outcome, cell) for metric, outcome in outcomes.items()}
    return {metric: mean for metric, mean in means.items() if mean is not None}


def _switching(cells: Sequence[Cell], runs: Mapping[str, Sequence[CellRun]]) -> set[str]:
    """Accelerators that every cell has in which models were switched: one of them does it."""
    switched = [
        set(cell.uses)
        for cell in cells
        if any(run.switch_step is not None for run in _finished(runs[cell.name]))
    ]
    return set.intersection(*switched) if switched else set()


def _switch(finished: Sequence[CellRun], *, may: bool) -> Switch | None:
    """Where runs switched models; null for a cell that never does and is not meant to."""
    steps = [run.switch_step for run in finished if run.switch_step is not None]
    if not steps:
        return Switch(never=len(finished)) if may and finished else None
    return Switch(
        median=median(steps), least=min(steps), most=max(steps), never=len(finished) - len(steps)
    )


def shares_on_front(speed: Outcome, loss: Outcome) -> dict[str, float]:
    """By cell, in what share of the resamples no other one is both faster and better.

    A cell is beaten by one that is at least as fast and loses as little or less, and differs in one
    of these. Compared are cells with a speed and a loss in at least half of the blocks, over the
    blocks that all of those share; a cell that seldom finished would leave too few. The others are
    left out.
    """
    known = np.isfinite(speed.values) & np.isfinite(loss.values)
    compared = known.any(axis=0) & (2 * known.sum(axis=0) >= known.any(axis=1).sum())
    blocks = known[:, compared].all(axis=1)
    if not compared.any() or not blocks.any():
        return {}
    weights = speed.resampling.weights(speed.units[blocks])
    kept = np.ix_(blocks, compared)
    shares = 1 - _beaten(weights @ speed.values[kept], weights @ loss.values[kept]).mean(axis=0)
    names = [name for name, there in zip(speed.columns, compared, strict=True) if there]
    return dict(zip(names, map(float, shares), strict=True))


def _beaten(speeds: Matrix, losses: Matrix) -> npt.NDArray[np.bool_]:
    """Of each resample and cell, whether another one beats it; shapes (resamples, cells)."""
    speeds, losses = speeds.round(DIGITS), losses.round(DIGITS)
    beaten = np.zeros(speeds.shape, dtype=bool)
    for rival in range(speeds.shape[1]):
        faster, less = speeds[:, [rival]] - speeds, losses - losses[:, [rival]]
        beaten |= (faster >= 0) & (less >= 0) & ((faster > 0) | (less > 0))
    return beaten
