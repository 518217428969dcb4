"""Extrapolation as weights of the computed values: every kind here is a linear combination.

The weights depend on when the values were computed and on nothing else, so they serve tensors as
they serve recorded products of them. This module imports no torch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

Kind = Literal["reuse", "taylor", "hermite", "blend"]
Weights = list[float]
"""One a computed value, oldest first; they sum to 1 for every kind but `hermite`."""
HERMITE_SCALE = 0.5
"""HiCache's contraction of the argument (arXiv 2508.16984)."""


def weights(
    kind: Kind, order: int, times: Sequence[float], at: float, alpha: float = 1.0
) -> Weights:
    """How much each computed value counts in a prediction.

    Args:
        kind: `reuse`: the last value. `taylor`: TaylorSeer (arXiv 2503.06923), a Taylor series of
            finite differences. `hermite`: HiCache, scaled Hermite polynomials in place of powers.
            `blend`: ScalingCache, from reuse (`alpha` 0) to Taylor's order 1 (`alpha` 1).
        order: of the series; reduced where too few values are there.
        times: when they were computed, oldest first, in any variable.
        at: when the prediction is for, in the same variable.
        alpha: of `blend`.
    """
    last = _unit(len(times) - 1, len(times))
    order = min(0 if kind == "reuse" else 1 if kind == "blend" else order, len(times) - 1)
    if order == 0 or any(one == other for one, other in pairwise(times[-order - 1 :])):
        return last
    ahead, found = at - times[-1], last
    for power, difference in enumerate(_differences(times, order), start=1):
        factor = _factor(kind, power, ahead) * (alpha if kind == "blend" else 1.0)
        found = _plus(found, difference, factor)
    return found


def _factor(kind: Kind, power: int, ahead: float) -> float:
    """What the finite difference of this order is multiplied by."""
    if kind == "hermite":
        value = HERMITE_SCALE**power * hermite(power, HERMITE_SCALE * ahead)
    else:
        value = ahead**power
    return value / math.factorial(power)


def hermite(order: int, x: float) -> float:
    """The physicists' Hermite polynomial, by its recurrence."""
    before, value = 0.0, 1.0
    for n in range(order):
        before, value = value, 2 * x * value - 2 * n * before
    return value


def _differences(times: Sequence[float], order: int) -> list[Weights]:
    """TaylorSeer's differences at the last value, of order 1 to `order`.

    Each is the change of the next lower one between the last two values that were computed,
    divided by the time between these two.
    """
    number = len(times)
    rows = [_unit(index, number) for index in range(number - order - 1, number)]
    kept = times[-order - 1 :]
    found = []
    for step in range(1, order + 1):
        rows = [
            _scaled(_plus(later, earlier, -1.0), 1 / (kept[step + index] - kept[step + index - 1]))
            for index, (earlier, later) in enumerate(pairwise(rows))
        ]
        found.append(rows[-1])
    return found


def _unit(index: int, number: int) -> Weights:
    return [float(position == index) for position in range(number)]


def _plus(one: Weights, other: Weights, factor: float) -> Weights:
    return [a + factor * b for a, b in zip(one, other, strict=True)]


def _scaled(one: Weights, factor: float) -> Weights:
    return [factor * value for value in one]
