"""From recorded runs to budgets: the best steps for each number, checked on prompts left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from sraccel.calibration.budgets import Budget, BudgetFile, What
from sraccel.calibration.path import (
    Array,
    Positions,
    cache_costs,
    length_of,
    pairs_of,
    shortest_path_of_pairs,
    step_costs,
)
from sraccel.calibration.recording import Setup
from sraccel.calibration.trajectory import Trajectory

CLIFF = 3.0
"""One step less that multiplies the predicted error by this is worth a warning."""
MAX_FOLDS = 8
Costs = Callable[[Trajectory], Array]
COSTS: dict[What, Costs] = {
    "steps": lambda run: pairs_of(step_costs(run)),
    "schedule": lambda run: cache_costs(run, order=1),
}
"""Lengths of edges, by what is calibrated."""
SETTINGS: dict[What, dict[str, Any]] = {
    "steps": {},
    "schedule": {"forecast": {"kind": "taylor", "order": 1, "of": "velocity"}},
}
"""What is assumed to stand in for what is skipped."""


def fitted(
    what: What, runs: Sequence[Trajectory], numbers: Sequence[int], setup: Setup
) -> BudgetFile:
    """Budgets for these numbers of steps.

    Args:
        what: `steps` or `schedule`.
        runs: bare runs on one grid.
        numbers: of steps; those beyond the grid are left out.
        setup: of the runs.
    """
    costs = [COSTS[what](run) for run in runs]
    prompts = [run.prompt for run in runs]
    wanted = sorted(number for number in set(numbers) if 1 <= number <= runs[0].steps)
    budgets = {number: _budget(costs, prompts, number) for number in wanted}
    return BudgetFile(
        what=what,
        class_name=setup.class_name,
        weights=setup.weights,
        dtype=setup.dtype,
        scheduler=setup.scheduler,
        flow_shift=setup.flow_shift,
        sigmas=runs[0].sigmas,
        guidance_scale=setup.guidance_scale,
        settings=SETTINGS[what],
        budgets=budgets,
        prompts=list(dict.fromkeys(prompts)),
        seeds=list(dict.fromkeys(run.seed for run in runs)),
        versions={name: _version(name) for name in ("sraccel", "torch", "diffusers")},
        date=datetime.now(UTC).date().isoformat(),
        warnings=list(cliffs(what, budgets)),
        comment="shortest paths of predicted errors on recorded bare runs (arXiv 2405.11326); "
        "errors are root mean squares, summed over the run, in the unit of the latents",
    )


def _budget(costs: Sequence[Array], prompts: Sequence[str], number: int) -> Budget:
    total = np.mean(costs, axis=0)
    positions = shortest_path_of_pairs(total, number)
    return Budget(
        positions=positions,
        error=length_of(total, positions),
        error_held_out=_held_out(costs, prompts, number),
    )


def _held_out(costs: Sequence[Array], prompts: Sequence[str], number: int) -> float | None:
    """The mean error on runs of prompts that the path was found without; None: there is one."""
    texts = list(dict.fromkeys(prompts))
    if len(texts) < 2:
        return None
    folds = [texts.index(prompt) % min(MAX_FOLDS, len(texts)) for prompt in prompts]
    errors: list[float] = []
    for fold in sorted(set(folds)):
        kept = np.mean([one for one, own in zip(costs, folds, strict=True) if own != fold], axis=0)
        positions: Positions = shortest_path_of_pairs(kept, number)
        errors += [
            length_of(one, positions) for one, own in zip(costs, folds, strict=True) if own == fold
        ]
    return float(np.mean(errors))


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
