"""From recorded runs to budgets: the best steps for each number, checked on prompts left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from sraccel.calibration.budgets import Budget, BudgetFile, What
from sraccel.calibration.path import (
    Costs,
    Extrapolate,
    cache_costs,
    edges_of,
    length_of,
    shortest_paths,
    step_costs,
)
from sraccel.calibration.recording import Setup
from sraccel.calibration.trajectory import Trajectory

CLIFF = 3.0
"""One step less that multiplies the predicted error by this is worth a warning."""
MAX_FOLDS = 8


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
        class_name=setup.class_name,
        weights=setup.weights,
        dtype=setup.dtype,
        scheduler=setup.scheduler,
        flow_shift=setup.flow_shift,
        sigmas=runs[0].sigmas,
        guidance_scale=setup.guidance_scale,
        settings={} if predictor is None else {"forecast": predictor.options},
        budgets=budgets,
        prompts=list(dict.fromkeys(prompts)),
        seeds=list(dict.fromkeys(run.seed for run in runs)),
        versions={name: _version(name) for name in ("sraccel", "torch", "diffusers")},
        date=datetime.now(UTC).date().isoformat(),
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
    texts = list(dict.fromkeys(prompts))
    if len(texts) < 2:
        return {}
    folds = [texts.index(prompt) % min(MAX_FOLDS, len(texts)) for prompt in prompts]
    errors: dict[int, list[float]] = {number: [] for number in numbers}
    for fold in sorted(set(folds)):
        kept = np.mean([one for one, own in zip(costs, folds, strict=True) if own != fold], axis=0)
        left_out = [one for one, own in zip(costs, folds, strict=True) if own == fold]
        for number, positions in shortest_paths(kept, numbers).items():
            errors[number] += [length_of(one, positions) for one in left_out]
    return {number: float(np.mean(found)) for number, found in errors.items()}


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


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # a checkout on the path
        return "unknown"
