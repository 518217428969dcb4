"""The bootstrap over blocks, and its intervals.

Blocks are drawn with replacement, each with all of its cells, so that what is common to a block
stays common. Blocks of one prompt resemble each other, so that they are drawn together: a *unit*.
The mean of a resample is a weighted mean whose weights are how often each block was drawn: one
product of matrices gives any mean in all resamples. `scipy.stats.bootstrap` draws the
same distribution, but value by value and function by function, and its argument for the seed has
another name from one version of SciPy to the next.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, stdtrit

from sraccel.study.results import LEVEL, Estimate

Vector = npt.NDArray[np.float64]

MIN_UNITS = 3
"""Of fewer units, an interval says nothing."""
FEW_UNITS = 12
"""Below this, hardly a resample lies as far out as an interval's ends should: see `interval`."""


Units = npt.NDArray[np.int64]
"""Of each block, the number of the unit that it is drawn with; shape (blocks,)."""


class Resampling:
    """How often each block is drawn, in every resample."""

    def __init__(self, resamples: int, seed: int) -> None:
        self.resamples = resamples
        self._seed = seed
        self._weights: dict[bytes, Vector] = {}

    def weights(self, units: Units) -> Vector:
        """Shape (resamples, blocks); each row adds up to 1. The same ones at every call."""
        _, unit = np.unique(units, return_inverse=True)
        key = unit.tobytes()
        if key not in self._weights:
            count = int(unit.max()) + 1
            generator = np.random.default_rng([self._seed, count])
            drawn = generator.multinomial(count, np.full(count, 1 / count), size=self.resamples)
            blocks = drawn[:, unit]
            self._weights[key] = blocks / blocks.sum(axis=1, keepdims=True)
        return self._weights[key]

    def mean(self, values: Vector, units: Units) -> Draws:
        """The mean over blocks of finite values, shape (blocks,)."""
        return Draws(float(values.mean()), self.weights(units) @ values, len(np.unique(units)))


@dataclass(frozen=True)
class Draws:
    """A quantity, and the same quantity in every resample.

    Quantities over the same blocks can be calculated with: resample by resample.

    Attributes:
        value: of the blocks themselves.
        resampled: of each resample, shape (resamples,).
        units: how many units it rests on.
    """

    value: float
    resampled: Vector
    units: int

    def __add__(self, other: Draws) -> Draws:
        return Draws(self.value + other.value, self.resampled + other.resampled, self.units)

    def __sub__(self, other: Draws) -> Draws:
        return Draws(self.value - other.value, self.resampled - other.resampled, self.units)

    def __truediv__(self, other: Draws) -> Draws:
        """The ratio; `other` must differ from 0, which `differs_from_zero` checks."""
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios = self.resampled / other.resampled
        return Draws(self.value / other.value, ratios, self.units)

    def greater(self, other: Draws) -> Draws:
        """The greater one of the two."""
        larger = np.maximum(self.resampled, other.resampled)
        return Draws(max(self.value, other.value), larger, self.units)

    def estimate(self, shown: Callable[[float], float] = float) -> Estimate:
        """Value and interval, each passed through a rising function."""
        ends = interval(self)
        if ends is None:
            return Estimate(value=shown(self.value), low=None, high=None)
        return Estimate(value=shown(self.value), low=shown(ends[0]), high=shown(ends[1]))

    def differs_from_zero(self) -> bool:
        """Whether its interval is known and lies on one side of 0."""
        ends = interval(self)
        return ends is not None and (ends[0] > 0 or ends[1] < 0)


def interval(draws: Draws, level: float = LEVEL) -> tuple[float, float] | None:
    """Hesterberg's expanded percentile interval.

    The plain percentile interval is too narrow for few units: a resample's spread is too small by
    sqrt((n - 1) / n), and its ends are those of a normal distribution instead of Student's. So
    percentiles farther out are taken (Hesterberg, What Teachers Should Know About the Bootstrap,
    The American Statistician 69(4), 2015, arXiv 1411.5279: the expanded percentile interval). They
    follow a quantity that is lopsided, as a ratio of means is.

    Of fewer than `FEW_UNITS` units there are none so far out, since no resample leaves the range
    of the data. The interval is then Student's, with the standard error that the resamples give:
    the value plus and minus t * sqrt(n / (n - 1)) * their spread.

    Neither knows a tail that no block showed: of few blocks whose values have a long tail on one
    side, intervals hold the truth less often than they say (of 8 lognormal ones with sigma 0.8,
    0.90 instead of 0.95). Tails that are heavy on both sides do no harm.

    None for fewer than `MIN_UNITS` units, or where resamples are not finite.
    """
    units = draws.units
    if units < MIN_UNITS or not np.isfinite(draws.resampled).all():
        return None
    if units < FEW_UNITS:
        half = _reach(units, level) * float(draws.resampled.std())
        return draws.value - half, draws.value + half
    tail = float(ndtr(-_reach(units, level)))
    low, high = np.quantile(draws.resampled, [tail, 1 - tail])
    return float(low), float(high)


@functools.cache
def _reach(units: int, level: float) -> float:
    """Half an interval's width, in standard deviations of the resamples' means."""
    return math.sqrt(units / (units - 1)) * float(stdtrit(units - 1, (1 + level) / 2))
