"""The semantic score: which attributes of its caption does a video show?

What `sraccel.demo.observation` finds is compared with the caption, under the assignment of objects
to figures that is best for it. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from sraccel.demo.captions import RELATIONS, Description, Figure, described
from sraccel.demo.observation import Observation, Sighting, sighting
from sraccel.demo.shapes import Clip

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
        return _mean(self.values().values())

    @property
    def whole(self) -> bool:
        """Whether every attribute is right."""
        return min(self.values().values()) == 1.0

    def values(self) -> dict[str, float]:
        """The attributes that the caption has."""
        named = {name: getattr(self, name) for name in ATTRIBUTES}
        return {name: value for name, value in named.items() if value is not None}


def score_video(video: Clip | Sighting, caption: str | Description) -> AttributeScore:
    """Score a clip of shape (frames, height, width, 3), values in [0, 1], against its caption.

    Raises:
        ValueError: the caption, or the clip's size, is not of this world.
    """
    wanted, objects = described(caption), sighting(video).objects
    return _score(assign(objects, wanted), wanted, len(objects))


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


def assign(objects: Sequence[Observation], wanted: Description) -> Assignment:
    """The assignment of objects to figures that shows most: colours first, then everything."""
    slots: list[Observation | None] = [*objects, *[None] * len(wanted.figures)]

    def shown(chosen: Assignment) -> tuple[float, float]:
        score = _score(chosen, wanted, len(objects))
        return score.colour, score.mean

    return max(permutations(slots, len(wanted.figures)), key=shown)


def _score(chosen: Assignment, wanted: Description, num_objects: int) -> AttributeScore:
    pairs = list(zip(chosen, wanted.figures, strict=True))
    neighbours = zip(chosen[:-1], chosen[1:], wanted.relations, strict=True)
    relations = [_shows_relation(*given) for given in neighbours]
    return AttributeScore(
        **{name: _mean([_agrees(*pair, name) for pair in pairs]) for name in OF_A_FIGURE},
        relation=_mean(relations) if relations else None,
        count=float(num_objects == len(wanted.figures)),
    )


def _agrees(seen: Observation | None, figure: Figure, name: str) -> bool:
    return seen is not None and getattr(seen.figure, name) == getattr(figure, name)


def _shows_relation(first: Observation | None, second: Observation | None, relation: str) -> bool:
    if first is None or second is None:
        return False
    right, down = (one - other for one, other in zip(first.centre, second.centre, strict=True))
    x, y = RELATIONS[relation]
    return right * x + down * y > abs(right * y + down * x)


def _mean(values: Collection[float]) -> float:
    return sum(values) / len(values)
