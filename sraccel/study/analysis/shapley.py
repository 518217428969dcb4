"""How much of the full stack's speedup (or loss) is whose: Shapley's value.

An accelerator gets what it adds to those before it, averaged over all orders in which the stack
could be put together (Shapley, A Value for n-Person Games, 1953). Values add up to the whole: of
logs of speedups, factors multiply to the full stack's.
"""

from __future__ import annotations

import math

from sraccel.study.analysis.combinations import Combinations, Subset
from sraccel.study.analysis.outcome import Outcome
from sraccel.study.analysis.resampling import Draws
from sraccel.study.results import Share


def attribute(
    outcome: Outcome, combinations: Combinations, *, factors: bool
) -> tuple[list[Share], str | None]:
    """Every accelerator's part; or none, and why.

    Args:
        factors: whether the outcome is a log, and the parts are shown as factors.
    """
    names = combinations.accelerators
    if not names:
        return [], "the recipe has no accelerators"
    why = combinations.lacks(combinations.subsets())
    why = why or outcome.why_not(combinations.cells[subset] for subset in combinations.subsets())
    if why is not None:
        return [], why
    parts = [combinations.contrast(part_of(name, combinations)) for name in names]
    nothing, everything = combinations.cells[frozenset()], combinations.cells[frozenset(names)]
    whole, *values = outcome.draw({everything: 1.0, nothing: -1.0}, *parts)
    return [_share(*each, whole, factors) for each in zip(names, values, strict=True)], None


def part_of(accelerator: str, combinations: Combinations) -> dict[Subset, float]:
    """What each cell counts for: |S|! (k - |S| - 1)! / k! for what is added to S."""
    count = len(combinations.accelerators)
    others = [name for name in combinations.accelerators if name != accelerator]
    counts: dict[Subset, float] = {}
    for before in combinations.subsets(others):
        # 1 / (k * binomial(k - 1, |S|)) is the same number.
        orders = 1 / (count * math.comb(count - 1, len(before)))
        counts[before] = -orders
        counts[before | {accelerator}] = orders
    return counts


def _share(name: str, part: Draws, whole: Draws, factors: bool) -> Share:
    return Share(
        accelerator=name,
        value=part.estimate(math.exp if factors else float),
        share=(part / whole).estimate() if whole.differs_from_zero() else None,
    )
