"""How orthogonal two accelerators are."""

from __future__ import annotations

import math

from sraccel.study.analysis.combinations import Combinations, Subset
from sraccel.study.analysis.outcome import Outcome
from sraccel.study.analysis.resampling import MIN_UNITS, Draws
from sraccel.study.results import Pair


def estimate_pairs(speed: Outcome, combinations: Combinations) -> list[Pair]:
    """Every pair of accelerators of which both, and each alone, are cells of the study."""
    pairs = (subset for subset in combinations.complete() if len(subset) == 2)
    return [_pair(pair, speed, combinations) for pair in pairs]


def _pair(pair: Subset, speed: Outcome, combinations: Combinations) -> Pair:
    """All figures rest on the same blocks: those in which both, and each alone, finished."""
    first, second = combinations.in_order(pair)
    needed = [combinations.cells[frozenset(subset)] for subset in ([first], [second], pair)]
    why = speed.why_not(needed)
    if why is not None:
        return Pair(accelerators=(first, second), why=why)
    one, other, both = speed.draw(*({cell: 1.0} for cell in needed))
    product = one + other
    tells = product.differs_from_zero()
    return Pair(
        accelerators=(first, second),
        index=(both / product).estimate() if tells else None,
        together=both.estimate(math.exp),
        product=product.estimate(math.exp),
        kept=(both - product).estimate(math.exp),
        best_single=(both - one.greater(other)).estimate(math.exp),
        why=None if tells else _too_little(first, second, product),
    )


def _too_little(first: str, second: str, product: Draws) -> str:
    """Why there is no index: a ratio says nothing if what it divides by may be 0."""
    found = product.estimate(math.exp)
    if found.low is None or found.high is None:
        return (
            f"whether {first} and {second} change the speed at all takes {MIN_UNITS} blocks or "
            f"more to tell, and there {'is' if product.units == 1 else 'are'} {product.units}"
        )
    return (
        f"{first} and {second} together change the speed too little to tell (product "
        f"{found.low:.2f}x to {found.high:.2f}x)"
    )
