"""What a tuning is to find, and on which prompts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sraccel.errors import RecipeError
from sraccel.tuning.goal import Goal

LEAST_PROMPTS = 3
"""Of fewer held-out prompts there is no interval: so many are run, whatever the budget says."""
MOST_POINTS = 5


@dataclass(frozen=True)
class Wanted:
    """What a tuning is to find, and on what.

    Attributes:
        goal: the quality that is asked for.
        tuning, held_out: prompts that choose, and others that confirm.
        budget: seconds of all runs; of each worker's, where there are several.
        memory: limit in bytes, of a run's peak; None: no limit.
        seed: of the first prompt's noise.
        trials: most of them; None: as many as the budget allows.
        points: of the front, that are confirmed and written, at most.
    """

    goal: Goal
    tuning: Sequence[str]
    held_out: Sequence[str]
    budget: float
    memory: int | None = None
    seed: int = 0
    trials: int | None = None
    points: int = MOST_POINTS


def split(prompts: Sequence[str], held_out: int | None = None) -> tuple[list[str], list[str]]:
    """Prompts that choose, and those that are held out: the last ones, half of them by default.

    Raises:
        RecipeError: they are too few.
    """
    number = len(prompts) // 2 if held_out is None else held_out
    if number < LEAST_PROMPTS or len(prompts) - number < 1:
        raise RecipeError(
            f"{len(prompts)} prompts, {number} of them held out: tuning takes one or more that "
            f"choose, and {LEAST_PROMPTS} or more that confirm; give a file with more lines"
        )
    return list(prompts[:-number]), list(prompts[-number:])
