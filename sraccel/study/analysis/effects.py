"""Main effects and interactions of a factorial.

With y(S) a cell's mean (the log of its speedup, or its loss), the effect of the accelerators T in
the presence of R is the sum over subsets S of T of (-1)^(|T| - |S|) y(S and R): for one accelerator
what it changes, for two by how much both together differ from the sum of each, and so on (Fisher,
The Design of Experiments, 1935, chapter VI). Where R is empty these are the Moebius inversion of y:
the effects of all subsets of a stack add up to its y, exactly.
"""

from __future__ import annotations

import math

from sraccel.study.analysis.combinations import Combinations, Subset
from sraccel.study.analysis.outcome import Outcome
from sraccel.study.analysis.shapley import attribute
from sraccel.study.results import Effect, Effects, Estimate

Factors = dict[Subset, float]


def estimate_effects(outcome: Outcome, combinations: Combinations, *, factors: bool) -> Effects:
    """Effects and attribution of one outcome.

    Args:
        factors: whether the outcome is a log, and its effects are shown as factors.
    """
    effects = [
        _effect(subset, outcome, combinations, factors) for subset in combinations.complete()
    ]
    shapley, why = attribute(outcome, combinations, factors=factors)
    return Effects(effects=effects, shapley=shapley, shapley_why=why)


def alone(combinations: Combinations, subset: Subset) -> Factors:
    """What each cell counts for in an effect where none of the others is there."""
    return {
        present: (-1.0) ** (len(subset) - len(present)) for present in combinations.subsets(subset)
    }


def averaged(combinations: Combinations, subset: Subset) -> Factors:
    """What each cell counts for in an effect averaged over all the others' combinations."""
    others = 2.0 ** (len(combinations.accelerators) - len(subset))
    return {
        present: (-1.0) ** (len(subset) - len(present & subset)) / others
        for present in combinations.subsets()
    }


def _effect(subset: Subset, outcome: Outcome, combinations: Combinations, factors: bool) -> Effect:
    average, no_average = _estimate(averaged(combinations, subset), outcome, combinations, factors)
    by_itself, not_alone = _estimate(alone(combinations, subset), outcome, combinations, factors)
    return Effect(
        accelerators=list(combinations.in_order(subset)),
        average=average,
        alone=by_itself,
        why=not_alone or no_average,  # an average needs all that the other does, and more
    )


def _estimate(
    weights: Factors, outcome: Outcome, combinations: Combinations, factors: bool
) -> tuple[Estimate | None, str | None]:
    """The estimate, or why there is none.

    Cells that are missing are not left out of an average: it would be another effect's.
    """
    why = combinations.lacks(weights)
    contrast = {} if why else combinations.contrast(weights)
    why = why or outcome.why_not(contrast)
    if why is not None:
        return None, why
    (draws,) = outcome.draw(contrast)
    return draws.estimate(math.exp if factors else float), None
