"""Which cells no other one beats: Pareto's front of speed and quality."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sraccel.study.analysis.blocks import Matrix
from sraccel.study.analysis.outcome import Outcome

DIGITS = 12
"""Means are rounded to so many, lest cells that are the same differ by how sums were rounded."""


def shares_on_front(speed: Outcome, loss: Outcome) -> dict[str, float]:
    """By cell, in what share of the resamples no other one is both faster and better.

    A cell is beaten by one that is at least as fast and loses as little or less, and differs in one
    of these. Compared are cells with a speed and a loss in at least half of the blocks, over the
    blocks that all of those share; a cell that seldom finished would leave too few. The others are
    left out.
    """
    known = np.isfinite(speed.values) & np.isfinite(loss.values)
    compared = known.any(axis=0) & (2 * known.sum(axis=0) >= known.any(axis=1).sum())
    blocks = known[:, compared].all(axis=1)
    if not compared.any() or not blocks.any():
        return {}
    weights = speed.resampling.weights(speed.units[blocks])
    kept = np.ix_(blocks, compared)
    shares = 1 - _beaten(weights @ speed.values[kept], weights @ loss.values[kept]).mean(axis=0)
    names = [name for name, there in zip(speed.columns, compared, strict=True) if there]
    return dict(zip(names, map(float, shares), strict=True))


def _beaten(speeds: Matrix, losses: Matrix) -> npt.NDArray[np.bool_]:
    """Of each resample and cell, whether another one beats it; shapes (resamples, cells)."""
    speeds, losses = speeds.round(DIGITS), losses.round(DIGITS)
    beaten = np.zeros(speeds.shape, dtype=bool)
    for rival in range(speeds.shape[1]):
        faster, less = speeds[:, [rival]] - speeds, losses - losses[:, [rival]]
        beaten |= (faster >= 0) & (less >= 0) & ((faster > 0) | (less > 0))
    return beaten
