"""A descent of positions on a grid: one at a time goes where the quality is best."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

Positions = tuple[int, ...]


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
