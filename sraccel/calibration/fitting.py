"""From recorded runs to budgets: the best steps for each number, checked on prompts left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sraccel.calibration.budgets import Budget, BudgetFile, What
from sraccel.calibration.calibration import Calibration, FitFile
from sraccel.calibration.folds import folds
from sraccel.calibration.path import (
    Costs,
    Extrapolate,
    cache_costs,
    edges_of,
    length_of,
    shortest_paths,
    step_costs,
)
from sraccel.calibration.provenance import provenance_of
from sraccel.calibration.recording import Setup
from sraccel.calibration.trajectory import Trajectory

CLIFF = 3.0
"""One step less that multiplies the predicted error by this is worth a warning."""


@dataclass(frozen=True)
class Predictor:
    """What stands in for skipped calls: a linear combination of the last computed values.

    Attributes:
        weights: of the values, by the steps at which they were computed.
        memory: how many values it looks at.
        options: as a recipe gives them.
    """

    weights: Extrapolate
    memory: int
    options: dict[str, Any]


def fitted(
    runs: Sequence[Trajectory],
    numbers: Sequence[int],
    setup: Setup,
    predictor: Predictor | None = None,
) -> BudgetFile:
    """Budgets for these numbers of steps.

    Args:
        runs: bare runs on one grid.
        numbers: of steps; those beyond the grid are left out.
        setup: of the runs.
        predictor: of skipped calls, for a `schedule`; None: `steps`, the others are not taken.
    """
    costs = [_costs(run, predictor) for run in runs]
    prompts = [run.prompt for run in runs]
    wanted = sorted(number for number in set(numbers) if 1 <= number <= runs[0].steps)
    budgets = _budgets(costs, prompts, wanted)
    what: What = "steps" if predictor is None else "schedule"
    return BudgetFile(
        what=what,
        **provenance_of(runs, setup),
        settings={} if predictor is None else {"forecast": predictor.options},
        budgets=budgets,
        warnings=list(cliffs(what, budgets)),
        comment="shortest paths of predicted errors on recorded bare runs (arXiv 2405.11326); "
        "errors are root mean squares, summed over the run, in the unit of the latents",
    )


def _costs(run: Trajectory, predictor: Predictor | None) -> Costs:
    if predictor is None:
        return edges_of(step_costs(run))
    return cache_costs(run, predictor.weights, predictor.memory)


def _budgets(
    costs: Sequence[Costs], prompts: Sequence[str], numbers: Sequence[int]
) -> dict[int, Budget]:
    total = np.mean(costs, axis=0)
    held_out = _held_out(costs, prompts, numbers)
    return {
        number: Budget(
            positions=positions,
            error=length_of(total, positions),
            error_held_out=held_out.get(number),
        )
        for number, positions in shortest_paths(total, numbers).items()
    }


def _held_out(
    costs: Sequence[Costs], prompts: Sequence[str], numbers: Sequence[int]
) -> dict[int, float]:
    """Mean errors on runs of prompts that the paths were found without; none of one prompt."""
    errors: dict[int, list[float]] = {number: [] for number in numbers}
    for kept, left_out in folds(costs, prompts):
        for number, positions in shortest_paths(np.mean(kept, axis=0), numbers).items():
            errors[number] += [length_of(one, positions) for one in left_out]
    return {number: float(np.mean(found)) for number, found in errors.items() if found}


def cliffs(what: What, budgets: dict[int, Budget]) -> list[str]:
    """Numbers of steps below which the predicted error jumps."""
    found = []
    for number, budget in sorted(budgets.items()):
        more = budgets.get(number + 1)
        if more is None or not more.error or budget.error is None:
            continue
        if budget.error > CLIFF * more.error:
            found.append(
                f"{what}: {number} steps instead of {number + 1} multiply the predicted error by "
                f"{budget.error / more.error:.1f}"
            )
    return found


def calibrated(calibration: Calibration, runs: Sequence[Trajectory], setup: Setup) -> FitFile:
    """The fit of a calibration to runs on one grid, with its error on prompts left out."""
    fit = dict(calibration.fit(runs))
    prompts = [run.prompt for run in runs]
    held_out = [
        calibration.error(without, run)
        for kept, left_out in folds(runs, prompts)
        for without in [calibration.fit(kept)]
        for run in left_out
    ]
    return FitFile(
        **provenance_of(runs, setup),
        name=calibration.name,
        fit=fit,
        error=float(np.mean([calibration.error(fit, run) for run in runs])),
        error_held_out=float(np.mean(held_out)) if held_out else None,
        warnings=list(calibration.warnings(fit)),
    )
