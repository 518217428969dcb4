"""The best switch step of every prompt at a given mean cost, known afterwards only.

It maximises the mean of `quality - price * cost`, prompt by prompt, at the price at which the mean
cost is the wanted one; between two such solutions at one price it mixes. So nothing that chooses
one step a prompt is better on these prompts at this cost.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from tables import Array, Steps

HALVINGS = 80


@dataclass(frozen=True)
class Oracle:
    """Two choices (columns) for each prompt; the second is taken with probability `share`."""

    first: Steps
    second: Steps
    share: float

    def mean_of(self, values: Array) -> Array:
        """What the prompts have of some values (prompts, columns), on average over both choices."""
        rows = np.arange(len(values))
        first, second = values[rows, self.first], values[rows, self.second]
        mixed: Array = first + self.share * (second - first)
        return mixed


def best_columns(quality: Array, cost: Array, price: float) -> Steps:
    """For each prompt the column of most quality less price times cost; the cheapest of equals.

    Args:
        quality: (prompts, columns).
        cost: (columns,), rising.
    """
    best: Steps = (quality - price * cost).argmax(axis=1)
    return best


def oracle(quality: Array, cost: Array, mean_cost: float) -> Oracle:
    """The best choice whose mean cost is at most `mean_cost` (at least the cheapest column's)."""
    free = best_columns(quality, cost, 0.0)
    if cost[free].mean() <= mean_cost:
        return Oracle(free, free, 0.0)
    low, high = 0.0, 1.0
    while cost[best_columns(quality, cost, high)].mean() > mean_cost and high < 1e12:
        high *= 2
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if cost[best_columns(quality, cost, middle)].mean() > mean_cost:
            low = middle
        else:
            high = middle
    dear, cheap = best_columns(quality, cost, low), best_columns(quality, cost, high)
    above, below = cost[dear].mean(), cost[cheap].mean()
    share = (mean_cost - below) / (above - below) if above > below else 0.0
    return Oracle(cheap, dear, float(np.clip(share, 0, 1)))


def from_neighbours(quality: Array) -> Array:
    """Each column as the mean of those beside it: a prompt's quality without one video's luck.

    Choosing by this and taking the column itself picks no video that came out well by chance.
    """
    before = np.concatenate([quality[:, 1:2], quality[:, :-1]], axis=1)
    after = np.concatenate([quality[:, 1:], quality[:, -2:-1]], axis=1)
    around: Array = (before + after) / 2
    return around
