"""Labels beside the points of a plot, where they hide neither points nor each other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

CHARACTER, LINE = 6.5, 14.0
"""Size of a letter, about, in pixels."""
MARK = 9.0
"""Half of the room that a point takes."""
DISTANCES = (12.0, 22.0, 34.0, 48.0, 64.0, 84.0)
GOOD = 40.0
"""A cost that needs no search further away."""
LEADER = 16.0
"""A label further away than this gets a line to its point."""


class Rectangle(NamedTuple):
    """In pixels."""

    left: float
    top: float
    right: float
    bottom: float

    def overlap(self, other: Rectangle) -> float:
        """The area that both cover."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(0.0, width) * max(0.0, height)

    def outside(self, frame: Rectangle) -> float:
        """The area that is not within the frame."""
        return (self.right - self.left) * (self.bottom - self.top) - self.overlap(frame)


@dataclass(frozen=True)
class Placed:
    """A label: where it begins beside its point, in pixels, and which of its ends is there.

    Attributes:
        anchor: `start`, `middle` or `end`, as SVG has it.
        leader: whether a line leads to it.
    """

    text: str
    x: float
    y: float
    anchor: str
    leader: bool


def place(
    points: Sequence[tuple[float, float]],
    texts: Sequence[str],
    frame: Rectangle,
    lines: Iterable[Rectangle] = (),
) -> list[Placed]:
    """A label for each point; those that come first choose first.

    Args:
        points: in pixels; each takes room.
        texts: of the first points; the others have no label.
        frame: where labels may stand.
        lines: what had better not be covered.
    """
    marks = [Rectangle(x - MARK, y - MARK, x + MARK, y + MARK) for x, y in points]
    taken, found = [*marks], list[Placed]()
    thin = list(lines)
    for point, text in zip(points, texts, strict=False):
        label, area = _best(point, text, frame, taken, thin)
        taken.append(area)
        found.append(label)
    return found


def _best(
    point: tuple[float, float],
    text: str,
    frame: Rectangle,
    taken: Sequence[Rectangle],
    thin: Sequence[Rectangle],
) -> tuple[Placed, Rectangle]:
    """The place that hides least; the first distance at which nothing is hidden will do."""
    reach, width = DISTANCES[-1], CHARACTER * len(text)
    x, y = point
    around = Rectangle(x - reach - width, y - reach, x + reach + width, y + reach)
    near = [other for other in taken if around.overlap(other)]
    crossed = [line for line in thin if around.overlap(line)]

    def cost(option: tuple[Placed, Rectangle]) -> float:
        label, area = option
        hidden = sum(area.overlap(other) for other in near) + 5 * area.outside(frame)
        lines = sum(area.overlap(line) for line in crossed)
        return 10 * hidden + lines + abs(label.x) + 1.6 * abs(label.y)

    best: tuple[Placed, Rectangle] | None = None
    for distance in DISTANCES:
        option = min(_options(point, text, distance), key=cost)
        best = option if best is None else min(best, option, key=cost)
        if cost(best) < GOOD:
            break
    assert best is not None
    return best


def _options(
    point: tuple[float, float], text: str, distance: float
) -> Iterator[tuple[Placed, Rectangle]]:
    """Right, left, above and below, and between."""
    width = CHARACTER * len(text)
    for across, down in ((1, 0), (1, -1), (1, 1), (-1, 0), (-1, -1), (-1, 1), (0, -1), (0, 1)):
        x, y = across * distance * (0.75 if down else 1), down * distance
        anchor = {1: "start", 0: "middle", -1: "end"}[across]
        left = point[0] + x - {1: 0.0, 0: width / 2, -1: width}[across]
        top = point[1] + y - LINE / 2
        area = Rectangle(left, top, left + width, top + LINE)
        yield Placed(text, x, y, anchor, distance > LEADER), area
