"""What accelerators do to an outcome: effects, shares of the whole, pairs, orders.

With y(S) a cell's mean (the log of its speedup, or its loss), the effect of the accelerators T in
the presence of R is the sum over subsets S of T of (-1)^(|T| - |S|) y(S and R): for one accelerator
what it changes, for two by how much both together differ from the sum of each, and so on (Fisher,
The Design of Experiments, 1935, chapter VI). Where R is empty these are the Moebius inversion of y:
the effects of all subsets of a stack add up to its y, exactly.

An accelerator's share of the full stack's y is Shapley's value: what it adds to those before it,
averaged over all orders in which the stack could be put together (Shapley, A Value for n-Person
Games, 1953). The values add up to the whole: of logs of speedups, factors multiply to the full
stack's.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

from sraccel.study.analysis.outcome import Contrast, Outcome
from sraccel.study.analysis.resampling import MIN_UNITS, Draws
from sraccel.study.cell import BARE, Cell
from sraccel.study.results import Effect, Effects, Estimate, Order, Pair, Share

LEFT = 0.5
"""Of the larger of two opposed effects, what must be left of it beside the other."""
Subset = frozenset[str]
Weights = dict[Subset, float]
"""By subset of the accelerators, what its cell's mean counts for."""


class Factorial:
    """Which cell is which subset of the accelerators.

    A cell is one if it has some of the recipe's accelerators (or none), in the recipe's order, with
    the recipe's options and the study's arguments of the call.
    """

    def __init__(self, accelerators: Sequence[str], cells: Sequence[Cell]) -> None:
        self.accelerators = tuple(dict.fromkeys(accelerators))
        self.cells = {
            frozenset(cell.uses): cell.name for cell in reversed(cells) if self._is_one(cell)
        }

    def _is_one(self, cell: Cell) -> bool:
        changed = cell.kind == "plain_steps" or bool(cell.settings) or bool(cell.sampling)
        return not changed and cell.uses == self.in_order(cell.uses)

    def in_order(self, subset: Iterable[str]) -> tuple[str, ...]:
        """A subset in the recipe's order."""
        wanted = set(subset)
        return tuple(name for name in self.accelerators if name in wanted)

    def lacks(self, subsets: Iterable[Subset]) -> str | None:
        """Why what needs these cells cannot be computed; None: they are all there."""
        missing = [
            " + ".join(self.in_order(subset)) or BARE
            for subset in subsets
            if subset not in self.cells
        ]
        if not missing:
            return None
        more = f" (nor {len(missing) - 1} more that are needed)" if len(missing) > 1 else ""
        return f"the study has no cell {missing[0]}{more}"

    def contrast(self, weights: Weights) -> Contrast:
        """By cell instead of by subset."""
        return {self.cells[subset]: weight for subset, weight in weights.items()}

    def subsets(self, of: Iterable[str] | None = None) -> Iterator[Subset]:
        """Of all accelerators or some: the empty one, each one, each two, ... in order."""
        names = self.accelerators if of is None else self.in_order(of)
        for size in range(len(names) + 1):
            yield from map(frozenset, itertools.combinations(names, size))

    def complete(self) -> list[Subset]:
        """Non-empty subsets that are cells, as are all of their own subsets."""
        return [
            subset
            for subset in self.subsets()
            if subset and self.lacks(self.subsets(subset)) is None
        ]


def estimate_effects(outcome: Outcome, factorial: Factorial) -> Effects:
    """Effects and shares of one outcome."""
    shapley, why = _shares(outcome, factorial)
    return Effects(
        effects=[_effect(subset, outcome, factorial) for subset in factorial.complete()],
        shapley=shapley,
        shapley_why=why,
    )


def _effect(subset: Subset, outcome: Outcome, factorial: Factorial) -> Effect:
    average, no_average = _estimate(_averaged(subset, factorial), outcome, factorial)
    alone, not_alone = _estimate(_alone(subset, factorial), outcome, factorial)
    return Effect(
        accelerators=list(factorial.in_order(subset)),
        average=average,
        alone=alone,
        why=not_alone or no_average,  # an average needs all that the other does, and more
    )


def _estimate(
    weights: Weights, outcome: Outcome, factorial: Factorial
) -> tuple[Estimate | None, str | None]:
    """The estimate, or why there is none.

    Cells that are missing are not left out of an average: it would be another effect's.
    """
    why = factorial.lacks(weights)
    return (None, why) if why else outcome.estimate(factorial.contrast(weights))


def _alone(subset: Subset, factorial: Factorial) -> Weights:
    """What each cell counts for in an effect where none of the others is there."""
    return {
        present: (-1.0) ** (len(subset) - len(present)) for present in factorial.subsets(subset)
    }


def _averaged(subset: Subset, factorial: Factorial) -> Weights:
    """What each cell counts for in an effect averaged over all the others' combinations."""
    others = 2.0 ** (len(factorial.accelerators) - len(subset))
    return {
        present: (-1.0) ** (len(subset) - len(present & subset)) / others
        for present in factorial.subsets()
    }


def _shares(outcome: Outcome, factorial: Factorial) -> tuple[list[Share], str | None]:
    """Every accelerator's share of the full stack; or none, and why."""
    names = factorial.accelerators
    if not names:
        return [], "the recipe has no accelerators"
    why = factorial.lacks(factorial.subsets())
    why = why or outcome.why_not(factorial.cells[subset] for subset in factorial.subsets())
    if why is not None:
        return [], why
    everything, nothing = factorial.cells[frozenset(names)], factorial.cells[frozenset()]
    added = [factorial.contrast(_added(name, factorial)) for name in names]
    whole, *values = outcome.draw({everything: 1.0, nothing: -1.0}, *added)
    known = whole.differs_from_zero()
    return [
        Share(
            accelerator=name,
            value=value.estimate(outcome.shown),
            share=(value / whole).estimate() if known else None,
        )
        for name, value in zip(names, values, strict=True)
    ], None


def _added(accelerator: str, factorial: Factorial) -> Weights:
    """What each cell counts for: |S|! (k - |S| - 1)! / k! for what is added to S."""
    count = len(factorial.accelerators)
    others = [name for name in factorial.accelerators if name != accelerator]
    weights: Weights = {}
    for before in factorial.subsets(others):
        # 1 / (k * binomial(k - 1, |S|)) is the same number.
        orders = 1 / (count * math.comb(count - 1, len(before)))
        weights[before] = -orders
        weights[before | {accelerator}] = orders
    return weights


def estimate_pairs(speed: Outcome, factorial: Factorial) -> list[Pair]:
    """How orthogonal two accelerators are: all of which both, and each alone, are cells."""
    pairs = (subset for subset in factorial.complete() if len(subset) == 2)
    return [_pair(pair, speed, factorial) for pair in pairs]


def _pair(pair: Subset, speed: Outcome, factorial: Factorial) -> Pair:
    """All figures rest on the same blocks: those in which both, and each alone, finished."""
    first, second = factorial.in_order(pair)
    needed = [factorial.cells[frozenset(subset)] for subset in ([first], [second], pair)]
    why = speed.why_not(needed)
    if why is not None:
        return Pair(accelerators=(first, second), why=why)
    one, other, both = speed.draw(*({cell: 1.0} for cell in needed))
    product = one + other
    known = product.differs_from_zero() and not _cancel(one, other)
    return Pair(
        accelerators=(first, second),
        index=(both / product).estimate() if known else None,
        together=both.estimate(math.exp),
        product=product.estimate(math.exp),
        kept=(both - product).estimate(math.exp),
        best_single=(both - one.greater(other)).estimate(math.exp),
        why=None if known else _no_index(first, second, one, other),
    )


def _cancel(one: Draws, other: Draws) -> bool:
    """Whether what one gains is what the other loses, nearly: their sum is then no measure."""
    opposed = one.value * other.value < 0
    return opposed and abs(one.value + other.value) < LEFT * max(abs(one.value), abs(other.value))


def _no_index(first: str, second: str, one: Draws, other: Draws) -> str:
    if _cancel(one, other):
        return (
            f"{first} ({math.exp(one.value):.2f}x) and {second} ({math.exp(other.value):.2f}x) "
            "nearly cancel, so that a ratio to their product says nothing"
        )
    return _too_little(first, second, one + other)


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


def estimate_orders(
    speed: Outcome, cells: Sequence[Cell], accelerators: Sequence[str]
) -> list[Order]:
    """Whether one accelerator had better stand before another: all pairs, in the recipe's order.

    The factor is that between orders in which the first stands before the second, and the same
    orders with the two exchanged, so that whatever else differs between orders cancels. Of a study
    of all orders that is the mean of those with the first before the second, over the others'.
    """
    orders = {
        cell.uses: cell.name
        for cell in cells
        if cell.kind == "stack"
        and not cell.settings
        and not cell.sampling
        and sorted(cell.uses) == sorted(accelerators)
    }
    return [_order(*pair, speed, orders) for pair in itertools.combinations(accelerators, 2)]


def _order(first: str, second: str, speed: Outcome, orders: Mapping[tuple[str, ...], str]) -> Order:
    exchange = {first: second, second: first}
    pairs = [
        (cell, exchanged)
        for uses, cell in orders.items()
        if uses.index(first) < uses.index(second)
        and (exchanged := orders.get(tuple(exchange.get(name, name) for name in uses)))
    ]
    if not pairs:
        why = f"no two orders of the study differ by {first} and {second} alone"
        return Order(first=first, second=second, why=why)
    contrast: dict[str, float] = {}
    for before, after in pairs:
        contrast |= {before: 1 / len(pairs), after: -1 / len(pairs)}
    factor, no_factor = speed.estimate(contrast)
    return Order(first=first, second=second, factor=factor, why=no_factor)
