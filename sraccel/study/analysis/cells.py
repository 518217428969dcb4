"""What is known of each cell by itself."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from sraccel.loop.clock import median
from sraccel.study.analysis.blocks import BlockTable
from sraccel.study.analysis.front import shares_on_front
from sraccel.study.analysis.outcome import Outcome, Outcomes
from sraccel.study.cell import Cell
from sraccel.study.record import RunRecord
from sraccel.study.results import CellResult, Estimate, Switch


def describe_cells(
    table: BlockTable, cells: Sequence[Cell], outcomes: Outcomes
) -> list[CellResult]:
    """Every cell, in the order given."""
    runs: dict[str, list[RunRecord]] = {cell.name: [] for cell in cells}
    for run in table.runs:
        runs[run.cell].append(run)
    fronts = {
        metric: shares_on_front(outcomes.speed, loss) for metric, loss in outcomes.losses.items()
    }
    switching = _switching(cells, runs)
    described = []
    for cell in cells:
        result = _runs_of(cell, runs[cell.name])
        result.speedup = _mean(outcomes.speed, cell.name, logs=True)
        result.whole_call = _mean(outcomes.whole_call, cell.name, logs=True)
        result.quality = _means(outcomes.qualities, cell.name)
        result.loss = _means(outcomes.losses, cell.name)
        result.front = {
            metric: front[cell.name] for metric, front in fronts.items() if cell.name in front
        }
        result.switch = _switch(_finished(runs[cell.name]), may=bool(switching & {*cell.uses}))
        described.append(result)
    return described


def _runs_of(cell: Cell, runs: Sequence[RunRecord]) -> CellResult:
    """What its runs tell without any other cell's."""
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


def _finished(runs: Sequence[RunRecord]) -> list[RunRecord]:
    return [run for run in runs if run.outcome == "finished"]


def _mean(outcome: Outcome, cell: str, *, logs: bool = False) -> Estimate | None:
    if outcome.why_not([cell]) is not None:
        return None
    (draws,) = outcome.draw({cell: 1.0})
    return draws.estimate(math.exp if logs else float)


def _means(outcomes: Mapping[str, Outcome], cell: str) -> dict[str, Estimate]:
    means = {metric: _mean(outcome, cell) for metric, outcome in outcomes.items()}
    return {metric: mean for metric, mean in means.items() if mean is not None}


def _switching(cells: Sequence[Cell], runs: Mapping[str, Sequence[RunRecord]]) -> set[str]:
    """Accelerators that every cell has in which models were switched: one of them does it."""
    switched = [
        set(cell.uses)
        for cell in cells
        if any(run.switch_step is not None for run in _finished(runs[cell.name]))
    ]
    return set.intersection(*switched) if switched else set()


def _switch(finished: Sequence[RunRecord], *, may: bool) -> Switch | None:
    """Where runs switched models; null for a cell that never does and is not meant to."""
    steps = [run.switch_step for run in finished if run.switch_step is not None]
    if not steps:
        return Switch(never=len(finished)) if may and finished else None
    return Switch(
        median=median(steps), least=min(steps), most=max(steps), never=len(finished) - len(steps)
    )
