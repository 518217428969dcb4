"""The semantic score: which attributes of its caption does a video show?

What `sraccel.demo.observation` finds is compared with the caption, under the assignment of objects
to figures that is best for it. Needs NumPy only.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from sraccel.demo.observation import Observation, observe
from sraccel.demo.shapes import RELATIONS, Clip, Description, Figure, parse_caption

ATTRIBUTES = ("colour", "pattern", "shape", "motion", "relation", "count")
OF_A_FIGURE = ("colour", "pattern", "shape", "motion")

Assignment = tuple[Observation | None, ...]
"""For each figure of a caption the object that shows it, if any does."""


@dataclass(frozen=True)
class AttributeScore:
    """Correctness of each attribute in [0, 1]; ``relation`` is None for a lone figure."""

    colour: float
    pattern: float
    shape: float
    motion: float
    relation: float | None
    count: float

    @property
    def mean(self) -> float:
        """Mean over the attributes that the caption has."""
        return float(np.mean(list(self.values().values())))

    @property
    def whole(self) -> bool:
        """Whether every attribute is right."""
        return min(self.values().values()) == 1.0

    def values(self) -> dict[str, float]:
        """The attributes that the caption has."""
        named = {name: getattr(self, name) for name in ATTRIBUTES}
        return {name: value for name, value in named.items() if value is not None}


def score_video(clip: Clip, caption: str | Description) -> AttributeScore:
    """Score a clip of shape (frames, height, width, 3), values in [0, 1], against its caption."""
    wanted = parse_caption(caption) if isinstance(caption, str) else caption
    return score_observations(observe(clip), wanted)


def summarise(scores: Iterable[AttributeScore]) -> dict[str, float]:
    """Mean of each attribute over videos, with ``mean`` and ``whole``."""
    rows = list(scores)
    table: dict[str, float] = {}
    for name in ATTRIBUTES:
        values = [row.values()[name] for row in rows if name in row.values()]
        table[name] = float(np.mean(values)) if values else float("nan")
    table["mean"] = float(np.mean([row.mean for row in rows]))
    table["whole"] = float(np.mean([row.whole for row in rows]))
    return table


def score_observations(seen: list[Observation], wanted: Description) -> AttributeScore:
    """Compare observations with a description, under the assignment that is best for it."""
    return _score_assigned(assign(seen, wanted), wanted, len(seen))


def assign(seen: list[Observation], wanted: Description) -> Assignment:
    """The assignment of objects to figures that shows most: colours first, then everything."""
    slots: list[Observation | None] = [*seen, *[None] * len(wanted.figures)]

    def shown(chosen: Assignment) -> tuple[float, float]:
        score = _score_assigned(chosen, wanted, len(seen))
        return score.colour, score.mean

    return max(permutations(slots, len(wanted.figures)), key=shown)


def _score_assigned(chosen: Assignment, wanted: Description, seen: int) -> AttributeScore:
    pairs = list(zip(chosen, wanted.figures, strict=True))
    parts = {
        name: float(np.mean([_agrees(found, figure, name) for found, figure in pairs]))
        for name in OF_A_FIGURE
    }
    shown = [
        _shows_relation(first, second, relation)
        for first, second, relation in zip(chosen[:-1], chosen[1:], wanted.relations, strict=True)
    ]
    return AttributeScore(
        relation=float(np.mean(shown)) if shown else None,
        count=float(seen == len(wanted.figures)),
        **parts,
    )


def _agrees(seen: Observation | None, figure: Figure, name: str) -> bool:
    return seen is not None and getattr(seen.figure, name) == getattr(figure, name)


def _shows_relation(first: Observation | None, second: Observation | None, relation: str) -> bool:
    if first is None or second is None:
        return False
    offset = np.subtract(first.centre, second.centre)
    direction = np.array(RELATIONS[relation])
    return bool(offset @ direction > abs(offset @ direction[::-1]))
