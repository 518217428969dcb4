"""Where to take few steps of a grid: the path with the least error of its steps, and a descent.

GITS (Chen et al., arXiv 2405.11326): the error of one solver step from grid point i to j, against a
recorded trajectory, is the length of an edge; the best few steps are the shortest path of so many
edges from the first point to the last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

Positions = tuple[int, ...]


def step_costs(sigmas: np.ndarray, latents: np.ndarray, velocities: np.ndarray) -> np.ndarray:
    """Root mean square error of one Euler step between any two points of a trajectory.

    Args:
        sigmas: of shape (points,), falling; the last is 0.
        latents: of shape (points, values).
        velocities: guided flow predictions at all points but the last, (points - 1, values).

    Returns:
        Of shape (points, points); infinite where a step would go back.
    """
    points = len(sigmas)
    costs = np.full((points, points), np.inf)
    for i in range(points - 1):
        distances = (sigmas[i + 1 :] - sigmas[i])[:, None]
        errors = latents[i] + distances * velocities[i] - latents[i + 1 :]
        costs[i, i + 1 :] = np.sqrt((errors**2).mean(1))
    return costs


def shortest_path(costs: np.ndarray, steps: int) -> Positions:
    """Where the steps of the path begin that goes from the first point to the last in `steps`.

    Raises:
        ValueError: the grid has fewer steps.
    """
    points = len(costs)
    if not 1 <= steps < points:
        raise ValueError(f"a grid of {points - 1} steps has no path of {steps}")
    length = np.full((steps + 1, points), np.inf)
    before = np.zeros((steps + 1, points), dtype=int)
    length[0, 0] = 0.0
    for step in range(1, steps + 1):
        reached = length[step - 1][:, None] + costs
        before[step], length[step] = reached.argmin(0), reached.min(0)
    found, point = [], points - 1
    for step in range(steps, 0, -1):
        point = int(before[step, point])
        found.append(point)
    return tuple(reversed(found))


def descend(
    start: Positions,
    steps: int,
    quality: Callable[[Positions], float],
    moves: Sequence[int],
    sweeps: int,
) -> Positions:
    """Move one position at a time, to where the quality is best, until a sweep changes none.

    Args:
        start: begins with 0, which stays.
        steps: of the grid.
        quality: the higher, the better.
        moves: how far a position may go at once.
        sweeps: at most so many rounds over the positions.
    """
    best = start
    for _ in range(sweeps):
        before = best
        for index in range(1, len(start)):
            best = max([best, *_moved(best, index, steps, moves)], key=quality)
        if best == before:
            break
    return best


def _moved(
    positions: Positions, index: int, steps: int, moves: Sequence[int]
) -> Iterable[Positions]:
    after = positions[index + 1] if index + 1 < len(positions) else steps
    for move in moves:
        if positions[index - 1] < positions[index] + move < after:
            yield (*positions[:index], positions[index] + move, *positions[index + 1 :])
