"""All figures of a study, from the records of its runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sraccel.study.analysis.blocks import Loss, tabulate
from sraccel.study.analysis.cells import describe_cells
from sraccel.study.analysis.combinations import Combinations
from sraccel.study.analysis.effects import estimate_effects
from sraccel.study.analysis.orders import estimate_orders
from sraccel.study.analysis.outcome import Outcomes
from sraccel.study.analysis.pairs import estimate_pairs
from sraccel.study.analysis.precision import precision_of
from sraccel.study.analysis.resampling import Resampling
from sraccel.study.cell import Cell
from sraccel.study.record import RunRecord
from sraccel.study.results import Analysis

RESAMPLES = 4000
"""Of these, some 70 lie beyond each end of an interval of 24 blocks."""


def analyse(
    runs: Sequence[RunRecord],
    cells: Sequence[Cell],
    accelerators: Sequence[str],
    *,
    design: str,
    losses: Mapping[str, Loss] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Analysis:
    """Estimate all that the runs of a study tell.

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
        resamples: of the bootstrap.
        seed: of the bootstrap.
    """
    table = tabulate(runs, cells, losses or {})
    outcomes = Outcomes(table, cells, Resampling(resamples, seed))
    combinations = Combinations(accelerators, cells)
    described = describe_cells(table, cells, outcomes)
    speed = estimate_effects(outcomes.speed, combinations, factors=True)
    return Analysis(
        resamples=resamples,
        blocks=table.bare_blocks,
        drawn=table.drawn,
        cells=described,
        speed=speed,
        pairs=estimate_pairs(outcomes.speed, combinations),
        losses={
            metric: estimate_effects(loss, combinations, factors=False)
            for metric, loss in outcomes.losses.items()
        },
        orders=estimate_orders(outcomes.speed, cells, accelerators) if design == "order" else [],
        precision=precision_of(speed, described),
    )
