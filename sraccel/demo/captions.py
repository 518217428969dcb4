"""Captions of the demo world: figures, and the relation of each to the next one.

A *figure* is a colour, a pattern, a shape and a motion. A *description* is one to three figures
with a relation between each and the next; its text is the caption. One fifth of all (colour, shape,
motion) is held out: it never occurs in a training caption.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from itertools import product

MAX_FIGURES = 3
COLOURS: dict[str, tuple[float, float, float]] = {
    "red": (0.88, 0.22, 0.20),
    "green": (0.20, 0.74, 0.26),
    "blue": (0.22, 0.36, 0.92),
    "yellow": (0.88, 0.82, 0.20),
    "purple": (0.72, 0.26, 0.86),
    "cyan": (0.20, 0.80, 0.86),
}
"""RGB in [0, 1]."""
PLAIN = "plain"
"""The pattern that a caption does not name."""
NAMED = ("striped", "dotted")
"""The patterns that a caption names."""
PATTERNS = (PLAIN, *NAMED)
SHAPES = ("circle", "square", "triangle")
MOTIONS: dict[str, tuple[float, float]] = {
    "moving left": (-1.0, 0.0),
    "moving right": (1.0, 0.0),
    "moving up": (0.0, -1.0),
    "moving down": (0.0, 1.0),
    "staying still": (0.0, 0.0),
}
"""Direction, x to the right and y downwards."""
RELATIONS: dict[str, tuple[int, int]] = {
    "left of": (-1, 0),
    "right of": (1, 0),
    "above": (0, -1),
    "below": (0, 1),
}
"""Direction from the second figure to the first one."""


@dataclass(frozen=True)
class Figure:
    """What a caption says about one object."""

    colour: str
    shape: str
    motion: str
    pattern: str = PLAIN

    @property
    def text(self) -> str:
        """The noun phrase, as in ``a striped red circle moving left``."""
        words = [self.colour, self.shape, self.motion]
        return " ".join(["a", *([] if self.pattern == PLAIN else [self.pattern]), *words])

    @property
    def held_out(self) -> bool:
        """Whether no training caption contains this figure, whatever its pattern.

        Exactly one motion of every (colour, shape) pair is held out, so each pair of attributes
        occurs in training while the triple does not.
        """
        colour = list(COLOURS).index(self.colour)
        motion = list(MOTIONS).index(self.motion)
        return (colour + 2 * SHAPES.index(self.shape) + 3 * motion) % 5 == 0


@dataclass(frozen=True)
class Description:
    """What a caption says: figures, and the relation of each to the next one."""

    figures: tuple[Figure, ...]
    relations: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse too many figures, and any but one relation between two of them."""
        if not 1 <= len(self.figures) <= MAX_FIGURES:
            raise ValueError(
                f"a description has one to {MAX_FIGURES} figures, not {len(self.figures)}"
            )
        if len(self.relations) != len(self.figures) - 1:
            raise ValueError(
                "a description has a relation between each figure and the next: "
                f"{len(self.figures) - 1}, not {len(self.relations)}"
            )

    @property
    def text(self) -> str:
        """The caption."""
        first, *others = (figure.text for figure in self.figures)
        parts = zip(self.relations, others, strict=True)
        return " ".join([first, *(f"{relation} {text}" for relation, text in parts)])

    @property
    def held_out(self) -> bool:
        """Whether at least one figure is held out from training."""
        return any(figure.held_out for figure in self.figures)


def figures() -> tuple[Figure, ...]:
    """All figures, in a fixed order."""
    return tuple(Figure(*parts) for parts in product(COLOURS, SHAPES, MOTIONS, PATTERNS))


def words() -> dict[str, Collection[str]]:
    """What a caption can be made of: the words or phrases of each kind."""
    return {
        "patterns": NAMED,
        "colours": COLOURS,
        "shapes": SHAPES,
        "motions": MOTIONS,
        "relations": RELATIONS,
    }


FORM = f"'a [{'|'.join(NAMED)}] <colour> <shape> <motion>'"
"""How a caption says a figure."""
_KINDS: dict[str, Collection[str]] = {"colour": COLOURS, "shape": SHAPES, "motion": MOTIONS}
_BETWEEN = re.compile(f" ({'|'.join(RELATIONS)}) (?=a )")


def described(caption: str | Description) -> Description:
    """What a caption says; a description is one already."""
    return parse_caption(caption) if isinstance(caption, str) else caption


def parse_caption(caption: str) -> Description:
    """Read a caption back; raises ``ValueError`` if it is not one of this world's captions."""
    text = " ".join(caption.lower().split()).rstrip(". ")
    parts = _BETWEEN.split(text)
    return Description(tuple(map(_parse_figure, parts[::2])), tuple(parts[1::2]))


def _parse_figure(text: str) -> Figure:
    article, *words = text.split() or [""]
    name, words = (words[0], words[1:]) if words and words[0] in NAMED else (PLAIN, words)
    if article != "a" or len(words) < 3:
        raise ValueError(f"{text!r} is not {FORM}")
    values = (words[0], words[1], " ".join(words[2:]))
    for value, (kind, known) in zip(values, _KINDS.items(), strict=True):
        if value not in known:
            raise ValueError(f"{value!r} is not a {kind}: {', '.join(known)}, in {FORM}")
    return Figure(*values, name)
