"""What single accelerators and pairs of them predict of three or more together.

If no three accelerators interact beyond their pairs, the log of the speedup of a combination is the
sum of its pairs' logs less (n - 2) times the sum of its n accelerators' own: the expansion of
`sraccel.study.analysis.effects` cut off after the second order. The plain product of the speedups
is the same cut off after the first.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

from sraccel.study.analysis.effects import Factorial, Subset, Weights
from sraccel.study.analysis.outcome import Outcome
from sraccel.study.results import Combination


def estimate_combinations(speed: Outcome, factorial: Factorial) -> list[Combination]:
    """All of three accelerators or more that are cells, as are their pairs and each one alone."""
    return [
        _combination(subset, speed, factorial)
        for subset in factorial.subsets()
        if len(subset) > 2 and factorial.lacks([subset, *_parts(subset)]) is None
    ]


def _parts(subset: Subset) -> Iterator[Subset]:
    """Each accelerator alone, and each two."""
    for size in (1, 2):
        yield from map(frozenset, itertools.combinations(subset, size))


def _combination(subset: Subset, speed: Outcome, factorial: Factorial) -> Combination:
    """All figures rest on the same blocks: those in which it and all its parts finished."""
    names = list(factorial.in_order(subset))
    why = speed.why_not(factorial.cells[part] for part in (subset, *_parts(subset)))
    if why is not None:
        return Combination(accelerators=names, why=why)
    wanted: list[Weights] = [{subset: 1.0}, _first_order(subset), _second_order(subset)]
    together, product, from_pairs = speed.draw(*map(factorial.contrast, wanted))
    return Combination(
        accelerators=names,
        together=together.estimate(math.exp),
        product=product.estimate(math.exp),
        from_pairs=from_pairs.estimate(math.exp),
        beside_product=(together - product).estimate(math.exp),
        beside_pairs=(together - from_pairs).estimate(math.exp),
    )


def _first_order(subset: Subset) -> Weights:
    return {part: 1.0 for part in _parts(subset) if len(part) == 1}


def _second_order(subset: Subset) -> Weights:
    return {part: 1.0 if len(part) == 2 else 2.0 - len(subset) for part in _parts(subset)}
