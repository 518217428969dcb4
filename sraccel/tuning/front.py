"""The front: of speed and quality, the compromises that no other one beats in both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sraccel.tuning.candidate import Candidate


@dataclass(frozen=True)
class Point:
    """What a candidate gave.

    Attributes:
        candidate: which.
        speedup: bare seconds over its own.
        quality: mean over prompts, by the goal's metric.
        goodness: the same, or minus it: more is better.
    """

    candidate: Candidate
    speedup: float
    quality: float
    goodness: float

    def dominates(self, other: Point) -> bool:
        """Whether it is as good in both, and better in one."""
        as_good = self.speedup >= other.speedup and self.goodness >= other.goodness
        return as_good and (self.speedup, self.goodness) != (other.speedup, other.goodness)


def front(points: Sequence[Point]) -> list[Point]:
    """Those that no other one dominates; of equal ones the first."""
    first = {(one.speedup, one.goodness): one for one in reversed(points)}
    kept = list(first.values())[::-1]
    return [one for one in kept if not any(other.dominates(one) for other in kept)]


def is_dominated(point: Point, others: Sequence[Point], tolerance: float = 0.0) -> bool:
    """Whether another one is better in both, in speed by more than a relative tolerance."""
    return any(
        other.goodness > point.goodness and other.speedup > point.speedup * (1 + tolerance)
        for other in others
    )
