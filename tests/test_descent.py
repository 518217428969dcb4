"""The descent of positions on a grid."""

from __future__ import annotations

import numpy as np
from descent import descend


def test_the_descent_finds_the_best_placement_and_keeps_the_first_and_the_order() -> None:
    wanted = (0, 2, 5, 9)
    seen = []

    def quality(positions: tuple[int, ...]) -> float:
        seen.append(positions)
        return -float(np.abs(np.subtract(positions, wanted)).sum())

    assert descend((0, 1, 2, 3), 12, quality, (-1, 1, 3), sweeps=20) == wanted
    assert all(p[0] == 0 and list(p) == sorted(set(p)) and p[-1] < 12 for p in seen)
