"""The best few steps of a grid, by what recorded runs say: shortest paths of predicted errors.

GITS (Chen et al., arXiv 2405.11326) places steps so: the error of one solver step between two
points of a recorded trajectory is the length of an edge, and the best N steps are the shortest
path of N edges. For a cache, an edge is the error that the predictions for the skipped steps add,
which depends on as many of the last computed steps as the predictor looks at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from sraccel.calibration.trajectory import Trajectory

Array = npt.NDArray[np.float64]
Costs = npt.NDArray[np.float32]
"""Of edges, shape (steps, ..., steps, steps + 1): by the last computed steps, oldest first, and the
next one. Where there are fewer, the first is repeated. Infinite out of order."""
Positions = list[int]
Extrapolate = Callable[[Sequence[float], float], Sequence[float]]
"""Weights of the values computed at these steps, oldest first, in the prediction for another."""


def step_costs(run: Trajectory) -> Array:
    """Root mean square error of one Euler step between any two points of a run.

    Returns:
        Of shape (steps + 1, steps + 1); the last point is the clean latent. Infinite where a step
        would go back.
    """
    steps, products = run.steps, run.matrix()
    points = _points(run)
    sigmas = np.array([*run.sigmas, 0.0])
    costs = np.full((steps + 1, steps + 1), np.inf)
    for i in range(steps):
        jump = np.zeros((steps - i, 2 * steps))
        jump[:, i] = 1.0
        jump[:, steps + i] = sigmas[i + 1 :] - sigmas[i]
        costs[i, i + 1 :] = _size(jump - points[i + 1 :], products)
    return costs


def _points(run: Trajectory) -> Array:
    """Each point of a run in terms of latents and predictions, (steps + 1, 2 * steps).

    The clean latent is what the last prediction implies.
    """
    steps = run.steps
    points = np.zeros((steps + 1, 2 * steps))
    points[np.arange(steps), np.arange(steps)] = 1.0
    points[steps, steps - 1], points[steps, 2 * steps - 1] = 1.0, -run.sigmas[-1]
    return points


def _size(rows: Array, products: Array) -> Array:
    """Root mean square of linear combinations, one a row."""
    squares = np.einsum("ki,ij,kj->k", rows, products, rows)
    return np.asarray(np.sqrt(np.maximum(squares, 0.0)), dtype=np.float64)


def edges_of(costs: Array) -> Costs:
    """Costs that depend on one computed step alone, in the form of those that may on several."""
    return np.asarray(costs[:-1], dtype=np.float32)


def cache_costs(run: Trajectory, weights: Extrapolate, memory: int) -> Costs:
    """What the predictions between two computed steps add to the latents, root mean square.

    Args:
        weights: of the predictor, of the guided velocity, by the index of steps.
        memory: how many computed values it looks at.
    """
    steps, products = run.steps, run.matrix()[run.steps :, run.steps :]
    moves = np.diff([*run.sigmas, 0.0])
    along = _from_zero(np.cumsum(products * moves, axis=1), 1)
    square = np.cumsum(np.cumsum(products * np.outer(moves, moves), axis=0), axis=1)
    square = _from_zero(_from_zero(square, 0), 1)
    costs: Costs = np.full((*[steps] * memory, steps + 1), np.inf, dtype=np.float32)
    for state in _states(steps, memory):
        computed, first = sorted(set(state)), state[-1] + 1
        # In terms of the computed values, and of those that were to be predicted: a and b.
        a = np.array([weights(computed, at) for at in range(first, steps)])
        a = _from_zero(np.cumsum(a.reshape(-1, len(computed)) * moves[first:, None], axis=0), 0)
        ab = (along[computed, first:] - along[computed, first, None]).T
        bb = (
            square[range(first, steps + 1), range(first, steps + 1)]
            - 2 * square[first, first:]
            + square[first, first]
        )
        aa = np.einsum("ki,ij,kj->k", a, products[np.ix_(computed, computed)], a)
        errors = aa - 2 * (a * ab).sum(1) + bb
        errors[0] = 0.0  # nothing is predicted
        costs[state][first:] = np.sqrt(np.maximum(errors, 0.0))
    return costs


def _from_zero(sums: Array, axis: int) -> Array:
    """Running sums with that of nothing before them."""
    return np.insert(sums, 0, 0.0, axis=axis)


def _states(steps: int, memory: int) -> Iterator[tuple[int, ...]]:
    """What the last computed steps can be: rising, or the first alone, repeated to the length."""
    for number in range(1, memory + 1):
        for chosen in combinations(range(steps), number):
            if number == memory or chosen[0] == 0:
                yield (*[0] * (memory - number), *chosen)


def shortest_path(costs: Costs, number: int) -> Positions:
    """Where the steps of the best path of so many begin, from the first point to the last.

    Raises:
        ValueError: the grid has fewer steps.
    """
    return shortest_paths(costs, [number])[number]


def shortest_paths(costs: Costs, numbers: Iterable[int]) -> dict[int, Positions]:
    """The best path of each number of steps.

    Raises:
        ValueError: the grid has fewer steps.
    """
    steps, wanted = costs.shape[-1] - 1, set(numbers)
    for number in wanted:
        if not 1 <= number <= steps:
            raise ValueError(f"a grid of {steps} steps has no path of {number}")
    # By the last steps, of paths of 1, 2, ... steps.
    length = np.full(costs.shape[:-1], np.inf, dtype=np.float32)
    length[(0,) * length.ndim] = 0.0
    earlier: list[npt.NDArray[np.intp]] = []
    found = {}
    for number in range(1, max(wanted, default=0) + 1):
        if number in wanted:
            found[number] = _followed_back(length + costs[..., steps], earlier)
        reached = length[..., None] + costs[..., :steps]
        earlier.append(reached.argmin(0))
        length = reached.min(0)
    return found


def _followed_back(total: Costs, earlier: Sequence[npt.NDArray[np.intp]]) -> Positions:
    state = tuple(int(i) for i in np.unravel_index(int(total.argmin()), total.shape))
    found = [state[-1]]
    for back in reversed(earlier):
        state = (int(back[state]), *state[:-1])
        found.append(state[-1])
    return found[::-1]


def length_of(costs: Costs, positions: Positions) -> float:
    """The length of a given path."""
    memory, total = costs.ndim - 1, 0.0
    state = (positions[0],) * memory
    for last, following in zip(positions, [*positions[1:], costs.shape[-1] - 1], strict=True):
        state = (*state[1:], last)
        total += float(costs[(*state, following)])
    return total
