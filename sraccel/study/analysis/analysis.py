"""All figures of a study, from the records of its runs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from sraccel.study.analysis.blocks import Loss, tabulate
from sraccel.study.analysis.cell_results import describe_cells
from sraccel.study.analysis.combinations import estimate_combinations
from sraccel.study.analysis.effects import (
    Factorial,
    estimate_effects,
    estimate_orders,
    estimate_pairs,
)
from sraccel.study.analysis.outcome import Outcomes
from sraccel.study.analysis.resampling import Resampling
from sraccel.study.cell import Cell, CellRun
from sraccel.study.results import Analysis, CellResult, Effects, Estimate

RESAMPLES = 4000
"""Of these, some 70 lie beyond each end of an interval of 24 blocks."""


def analyse(
    runs: Sequence[CellRun],
    cells: Sequence[Cell],
    accelerators: Sequence[str],
    *,
    design: str,
    losses: Mapping[str, Loss] | None = None,
    limits: Mapping[str, tuple[float, float]] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Analysis:
    """Estimate all that the runs of a study say.

    Every figure is a function of the cells' means over blocks, and its interval comes from
    resampling them: prompts with all of their seeds, since blocks of one prompt resemble each
    other. It is computed over the blocks in which all cells that it needs are finished;
    where there are none, it is null and the reason is given. The order of `runs` does not matter.

    Args:
        runs: all that were made, failed ones included. Those of cells that are not in `cells` are
            left out.
        cells: of the study, in the order in which they are to be reported.
        accelerators: names of the recipe's, in its order: the factors of the factorial.
        design: of the study; orders of accelerators are compared only where it is `order`.
        losses: by metric, what a cell's value loses to the bare one's of the same block;
            `bare - value` for metrics that are not named.
        limits: by metric, between which values its mean lies: an interval ends there.
        resamples: of the bootstrap.
        seed: of the bootstrap.
    """
    table = tabulate(runs, cells, losses or {})
    outcomes = Outcomes(table, cells, Resampling(resamples, seed), limits or {})
    factorial = Factorial(accelerators, cells)
    described = describe_cells(table, cells, outcomes)
    speed = estimate_effects(outcomes.speed, factorial)
    return Analysis(
        resamples=resamples,
        blocks=table.bare_blocks,
        drawn=table.drawn,
        cells=described,
        speed=speed,
        pairs=estimate_pairs(outcomes.speed, factorial),
        combinations=estimate_combinations(outcomes.speed, factorial),
        losses={
            metric: estimate_effects(loss, factorial) for metric, loss in outcomes.losses.items()
        },
        orders=estimate_orders(outcomes.speed, cells, accelerators) if design == "order" else [],
        precision=_precision(speed, described),
    )


def _precision(speed: Effects, cells: Sequence[CellResult]) -> float | None:
    """Half of the widest main effect's interval, relative to the effect; or the widest speedup's.

    An effect that cannot be estimated (its accelerator never finished) does not count: more runs
    will not make it more precise. None where there is no estimate, or one without an interval.
    """
    main = [effect for effect in speed.effects if len(effect.accelerators) == 1]
    if main:
        found = [effect.average or effect.alone for effect in main]
    else:
        found = [cell.speedup for cell in cells if cell.kind != "bare"]
    halves = [_half_width(estimate) for estimate in found if estimate is not None]
    known = [half for half in halves if half is not None]
    return max(known) if known and len(known) == len(halves) else None


def _half_width(estimate: Estimate) -> float | None:
    if estimate.low is None or estimate.high is None:
        return None
    return math.expm1(math.log(estimate.high / estimate.low) / 2)
