"""The semantic score: which attributes of its caption does a video show?

Pixels are assigned to the nearest colour of the world; connected regions become *detections*,
followed through the frames into *observations*, which are compared with the caption. Needs
numpy only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import permutations

import numpy as np
import numpy.typing as npt

from sraccel.demo.shapes import (
    BACKGROUND,
    COLOURS,
    MOTIONS,
    RELATIONS,
    SHAPES,
    SPEED,
    Clip,
    Description,
    Figure,
    coverage,
    parse_caption,
)

ATTRIBUTES = ("colour", "shape", "motion", "relation", "count")
MIN_AREA = 30.0
"""A region smaller than this is not an object, in pixels."""
MIN_PRESENCE = 0.6
"""An object is there in at least this fraction of the frames."""

Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Detection:
    """One region of one colour in one frame; the centre (x, y) and the area are in pixels."""

    centre: tuple[float, float]
    area: float
    mask: npt.NDArray[np.float32]


@dataclass(frozen=True)
class Observation:
    """One object of a video. ``centre`` is its mean position (x, y), in pixels."""

    figure: Figure
    centre: tuple[float, float]


@dataclass(frozen=True)
class AttributeScore:
    """Correctness of each attribute in [0, 1]; ``relation`` is None for a lone figure."""

    colour: float
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
    n = len(wanted.figures)
    slots: list[Observation | None] = [*seen, *[None] * n]
    count = float(len(seen) == n)
    scores = (_score_assigned(chosen, wanted, count) for chosen in permutations(slots, n))
    return max(scores, key=lambda score: (score.colour, score.mean))


def _score_assigned(
    chosen: tuple[Observation | None, ...], wanted: Description, count: float
) -> AttributeScore:
    pairs = list(zip(chosen, wanted.figures, strict=True))
    parts = {
        name: float(np.mean([_agrees(seen, figure, name) for seen, figure in pairs]))
        for name in ("colour", "shape", "motion")
    }
    relation = None
    if wanted.relation is not None:
        relation = float(_shows_relation(chosen, wanted.relation))
    return AttributeScore(relation=relation, count=count, **parts)


def _agrees(seen: Observation | None, figure: Figure, name: str) -> bool:
    return seen is not None and getattr(seen.figure, name) == getattr(figure, name)


def _shows_relation(chosen: tuple[Observation | None, ...], relation: str) -> bool:
    first, second = chosen
    if first is None or second is None:
        return False
    offset = np.subtract(first.centre, second.centre)
    direction = np.array(RELATIONS[relation])
    return bool(offset @ direction > abs(offset @ direction[::-1]))


def observe(clip: Clip) -> list[Observation]:
    """Find the objects of a clip, with colour, shape, motion and mean position."""
    labels = nearest_colour(clip)
    found = []
    for index, colour in enumerate(COLOURS, start=1):
        frames = [
            _detections(frame, label == index, colour)
            for frame, label in zip(clip, labels, strict=True)
        ]
        found += [_observation(colour, track) for track in _tracks(frames)]
    return found


def nearest_colour(clip: Clip) -> Labels:
    """Index of the nearest colour of each pixel, 0 the background; shape (frames, h, w)."""
    palette = np.array([BACKGROUND, *COLOURS.values()], dtype=np.float32)
    distance = (clip**2).sum(-1, keepdims=True) - 2 * clip @ palette.T + (palette**2).sum(-1)
    labels: Labels = distance.argmin(-1)
    return labels


def _detections(frame: Clip, mask: npt.NDArray[np.bool_], colour: str) -> list[Detection]:
    if mask.sum() < MIN_AREA:
        return []
    opacity = _opacity(frame, colour)
    regions = label_regions(mask)
    names, areas = np.unique(regions[mask], return_counts=True)
    large = names[areas >= MIN_AREA]
    return [_detection(regions == name, opacity) for name in large]


def _detection(region: npt.NDArray[np.bool_], opacity: npt.NDArray[np.float32]) -> Detection:
    near = _grow(region)
    mask = np.where(near, opacity, 0).astype(np.float32)
    grid = np.arange(mask.shape[0]) + 0.5
    area = float(mask.sum())
    return Detection(
        centre=(float(mask.sum(0) @ grid) / area, float(mask.sum(1) @ grid) / area),
        area=area,
        mask=mask,
    )


def _opacity(frame: Clip, colour: str) -> npt.NDArray[np.float32]:
    """How far each pixel lies on the way from the background to a colour, in [0, 1]."""
    background = np.array(BACKGROUND, dtype=np.float32)
    way = np.array(COLOURS[colour], dtype=np.float32) - background
    opacity = (frame - background) @ way / (way @ way)
    return np.clip(opacity, 0.0, 1.0).astype(np.float32)


def _grow(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Add the four neighbours of each pixel."""
    padded = np.pad(mask, 1)
    around = padded[:-2, 1:-1] | padded[2:, 1:-1] | padded[1:-1, :-2] | padded[1:-1, 2:]
    return around | mask


def label_regions(mask: npt.NDArray[np.bool_]) -> Labels:
    """Number the 4-connected regions of a mask; -1 outside, equal numbers inside a region."""
    numbers = np.where(mask, np.arange(1, mask.size + 1).reshape(mask.shape), 0)
    while True:
        padded = np.pad(numbers, 1)
        around = np.maximum.reduce(
            [padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:], numbers]
        )
        spread = np.where(mask, around, 0)
        if (spread == numbers).all():
            return spread - 1
        numbers = spread


def _tracks(frames: list[list[Detection]]) -> list[list[Detection]]:
    """Follow the regions of one colour: as many tracks as most frames have regions."""
    needed = MIN_PRESENCE * len(frames)
    tracks: list[list[Detection]] = []
    while sum(len(frame) > len(tracks) for frame in frames) >= needed:
        rank = len(tracks)
        ordered = [sorted(frame, key=lambda found: -found.area) for frame in frames]
        tracks.append([frame[rank] for frame in ordered if len(frame) > rank])
    return tracks


def _observation(colour: str, track: list[Detection]) -> Observation:
    centres = np.array([found.centre for found in track])
    x, y = centres.mean(0)
    figure = Figure(colour, classify_shape(track), classify_motion(centres))
    return Observation(figure, (float(x), float(y)))


def classify_shape(track: Iterable[Detection]) -> str:
    """Shape whose ideal mask of the same centre and area overlaps best, over all frames."""
    detections = list(track)
    overlap: Mapping[str, float] = {
        shape: sum(_overlap(found, shape) for found in detections) for shape in SHAPES
    }
    return max(overlap, key=lambda shape: overlap[shape])


UNIT_AREA = {shape: float(coverage(shape, 64, 64, 40, size=128).sum()) / 1600 for shape in SHAPES}
"""Area of each shape of radius 1, in square pixels."""


def _overlap(found: Detection, shape: str) -> float:
    """Intersection over union of a detection and the ideal mask of a shape."""
    radius = (found.area / UNIT_AREA[shape]) ** 0.5
    ideal = coverage(shape, *found.centre, radius, size=found.mask.shape[0])
    union = float(np.maximum(ideal, found.mask).sum())
    return float(np.minimum(ideal, found.mask).sum()) / union


def classify_motion(centres: npt.NDArray[np.float64]) -> str:
    """Motion nearest to the fitted velocity of the centres (frames, 2), in pixels per frame."""
    time = np.arange(len(centres)) - (len(centres) - 1) / 2
    velocity = time @ (centres - centres.mean(0)) / max(float(time @ time), 1.0)
    distance = {
        name: float(np.hypot(*(velocity - SPEED * np.array(direction))))
        for name, direction in MOTIONS.items()
    }
    return min(distance, key=lambda name: distance[name])
