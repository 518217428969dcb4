"""The best few steps of a grid, by what recorded runs say: shortest paths of predicted errors.

GITS (Chen et al., arXiv 2405.11326) places steps so: the error of one solver step between two
points of a recorded trajectory is the length of an edge, and the best N steps are the shortest
path of N edges. For a cache, an edge is the error that the predictions for the skipped steps add,
which depends on the last two computed steps where the predictor is linear.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from sraccel.calibration.trajectory import Trajectory

Array = npt.NDArray[np.float64]
Positions = list[int]


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


def cache_costs(run: Trajectory, order: int = 1) -> Array:
    """What the predictions between two computed steps add to the latents, root mean square.

    The velocity is predicted: the last one (order 0), or along the line through the last two by
    index of the step (order 1).

    Returns:
        Of shape (steps, steps, steps + 1), by the last but one computed step, the last, and the
        next; where the first two are equal there is one only. Infinite out of order.
    """
    steps = run.steps
    products = run.matrix()[steps:, steps:]
    moves = np.diff([*run.sigmas, 0.0])
    costs = np.full((steps, steps, steps + 1), np.inf)
    for last in range(steps):
        for before in range(last + 1):
            errors = _added(before, last, moves, order)
            costs[before, last, last + 1 :] = _size(errors, products)
    return costs


def _added(before: int, last: int, moves: Array, order: int) -> Array:
    """The error of the latents at each point after `last`, in terms of the predictions."""
    steps = len(moves)
    errors = np.zeros((steps - last, steps))  # at last + 1: what was computed adds none
    for row, step in enumerate(range(last + 1, steps), start=1):
        errors[row] = errors[row - 1]
        slope = (step - last) / (last - before) if order and last > before else 0.0
        errors[row, last] += moves[step] * (1 + slope)
        errors[row, before] -= moves[step] * slope
        errors[row, step] -= moves[step]
    return errors


def shortest_path(costs: Array, number: int) -> Positions:
    """Where the steps of the best path of so many begin, from the first point to the last.

    Args:
        costs: as `step_costs`.

    Raises:
        ValueError: the grid has fewer steps.
    """
    return shortest_path_of_pairs(pairs_of(costs), number)


def shortest_path_of_pairs(costs: Array, number: int) -> Positions:
    """As `shortest_path`, where an edge's length depends on the edge before, too.

    Args:
        costs: as `cache_costs`.
    """
    steps = costs.shape[0]
    if not 1 <= number <= steps:
        raise ValueError(f"a grid of {steps} steps has no path of {number}")
    # By the last but one step and the last one, of paths of 1, 2, ... steps.
    length = np.full((steps, steps), np.inf)
    length[0, 0] = 0.0
    earlier: list[npt.NDArray[np.intp]] = []
    for _ in range(number - 1):
        reached = length[:, :, None] + costs[:, :, :steps]
        reached[:, np.arange(steps), np.arange(steps)] = np.inf
        earlier.append(reached.argmin(0))
        length = reached.min(0)
    total = length + costs[:, :, steps]
    before, last = np.unravel_index(int(total.argmin()), total.shape)
    found = [int(last)]
    for back in reversed(earlier):
        found.append(int(before))
        before, last = back[before, last], before
    return found[::-1]


def length_of(costs: Array, positions: Positions) -> float:
    """The length of a given path; arguments as `shortest_path_of_pairs`."""
    before, total = positions[0], 0.0
    ends = [*positions[1:], costs.shape[0]]
    for last, following in zip(positions, ends, strict=True):
        total += float(costs[before, last, following])
        before = last
    return total


def pairs_of(costs: Array) -> Array:
    """Costs that do not depend on the edge before, in the form of those that do."""
    steps = len(costs) - 1
    return np.array(np.broadcast_to(costs[None, :-1], (steps, steps, steps + 1)))
