"""The path of few steps over a grid, and the descent from it."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest
from grid_path import descend, shortest_path, step_costs


def length(costs: np.ndarray, positions: tuple[int, ...]) -> float:
    """Of the path through these positions, to the last point."""
    points = [*positions, len(costs) - 1]
    return float(sum(costs[i, j] for i, j in pairwise(points)))


@pytest.mark.parametrize("steps", [1, 2, 4, 7])
def test_the_path_is_the_shortest_of_all(steps: int) -> None:
    costs = np.triu(np.random.default_rng(0).random((8, 8)), 1)
    costs[costs == 0] = np.inf
    every = [(0, *rest) for rest in combinations(range(1, 7), steps - 1)]
    assert shortest_path(costs, steps) == min(every, key=lambda path: length(costs, path))


def test_a_grid_has_no_path_of_more_steps_than_it_has() -> None:
    with pytest.raises(ValueError, match="3 steps has no path of 4"):
        shortest_path(np.zeros((4, 4)), 4)


def test_a_straight_trajectory_costs_nothing_and_a_bend_costs_its_error() -> None:
    sigmas = np.array([1.0, 0.5, 0.0])
    straight = step_costs(sigmas, np.array([[2.0], [1.0], [0.0]]), np.array([[2.0], [2.0]]))
    assert straight[0, 2] == 0
    bent = step_costs(sigmas, np.array([[2.0], [1.0], [1.0]]), np.array([[2.0], [0.0]]))
    assert bent[0, 1] == 0
    assert bent[0, 2] == 1
    assert np.isinf(bent[2, 0])


def test_the_descent_finds_the_best_placement_and_keeps_the_first_and_the_order() -> None:
    wanted = (0, 2, 5, 9)
    seen = []

    def quality(positions: tuple[int, ...]) -> float:
        seen.append(positions)
        return -float(np.abs(np.subtract(positions, wanted)).sum())

    assert descend((0, 1, 2, 3), 12, quality, (-1, 1, 3), sweeps=20) == wanted
    assert all(p[0] == 0 and list(p) == sorted(set(p)) and p[-1] < 12 for p in seen)
