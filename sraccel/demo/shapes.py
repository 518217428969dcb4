"""The demo world: captions of moving shapes, seeded scenes, and clips rendered from them.

A *figure* is a colour, a shape and a motion. A *description* is one figure, or two figures and
a relation; its text is the caption. A *scene* adds where and how large; rendering it gives a
clip. One fifth of all figures is held out: it never occurs in a training caption.

Positions are in pixels, x to the right and y downwards, the origin at the top left corner.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

SIZE = 48
"""Height and width of a clip, in pixels."""
NUM_FRAMES = 9
"""Frames of a clip as trained (``WanPipeline(num_frames=8)`` returns nine, see the docs)."""
SPEED = 1.3
"""Pixels per frame of a moving figure."""
RADII = (4.8, 5.8)
"""Range of a figure's radius, in pixels."""
EXTENT = 1.3
"""A figure's centre stays this many radii away from the border."""
MIN_DISTANCE = 13.5
"""Two figures keep this distance along x or y in every frame, in pixels."""

BACKGROUND = (0.08, 0.08, 0.10)
COLOURS: dict[str, tuple[float, float, float]] = {
    "red": (0.92, 0.16, 0.16),
    "green": (0.15, 0.78, 0.22),
    "blue": (0.18, 0.32, 0.96),
    "yellow": (0.95, 0.88, 0.15),
    "purple": (0.75, 0.22, 0.90),
    "cyan": (0.15, 0.86, 0.90),
}
SHAPES = ("circle", "square", "triangle")
MOTIONS: dict[str, tuple[float, float]] = {
    "moving left": (-1.0, 0.0),
    "moving right": (1.0, 0.0),
    "moving up": (0.0, -1.0),
    "moving down": (0.0, 1.0),
    "staying still": (0.0, 0.0),
}
RELATIONS: dict[str, tuple[int, int]] = {
    "left of": (-1, 0),
    "right of": (1, 0),
    "above": (0, -1),
    "below": (0, 1),
}
"""Direction from the second figure to the first one."""

Clip = npt.NDArray[np.float32]
"""RGB video in [0, 1], shape (frames, height, width, 3)."""
Mask = npt.NDArray[np.float32]
"""Coverage in [0, 1], shape (height, width)."""
Centres = npt.NDArray[np.float64]
"""Positions (x, y) in each frame, shape (frames, 2), in pixels."""


@dataclass(frozen=True)
class Figure:
    """What a caption says about one object."""

    colour: str
    shape: str
    motion: str

    @property
    def text(self) -> str:
        """The noun phrase, as in ``a red circle moving left``."""
        return f"a {self.colour} {self.shape} {self.motion}"

    @property
    def held_out(self) -> bool:
        """Whether no training caption contains this figure.

        Exactly one motion of every (colour, shape) pair is held out, so each pair of attributes
        occurs in training while the triple does not.
        """
        colour = list(COLOURS).index(self.colour)
        motion = list(MOTIONS).index(self.motion)
        return (colour + 2 * SHAPES.index(self.shape) + 3 * motion) % 5 == 0


@dataclass(frozen=True)
class Description:
    """What a caption says: one figure, or two figures and their relation."""

    figures: tuple[Figure, ...]
    relation: str | None = None

    def __post_init__(self) -> None:
        """Refuse anything but one figure, or two with a relation."""
        if (len(self.figures), self.relation is None) not in {(1, True), (2, False)}:
            raise ValueError("a description has one figure, or two figures and a relation")

    @property
    def text(self) -> str:
        """The caption."""
        return f" {self.relation} ".join(figure.text for figure in self.figures)

    @property
    def held_out(self) -> bool:
        """Whether at least one figure is held out from training."""
        return any(figure.held_out for figure in self.figures)


@dataclass(frozen=True)
class Placement:
    """Where a figure is: its centre at mid-clip, and its radius, in pixels."""

    x: float
    y: float
    radius: float


@dataclass(frozen=True)
class Scene:
    """A description together with a placement for each of its figures."""

    description: Description
    placements: tuple[Placement, ...]

    @property
    def caption(self) -> str:
        """The caption of this scene."""
        return self.description.text


def figures() -> tuple[Figure, ...]:
    """All figures, in a fixed order."""
    return tuple(Figure(*parts) for parts in product(COLOURS, SHAPES, MOTIONS))


def parse_caption(caption: str) -> Description:
    """Read a caption back; raises ``ValueError`` if it is not one of this world's captions."""
    text = " ".join(caption.lower().split()).rstrip(".")
    for relation in RELATIONS:
        first, found, second = text.partition(f" {relation} a ")
        if found:
            return Description((_parse_figure(first), _parse_figure(f"a {second}")), relation)
    return Description((_parse_figure(text),))


def _parse_figure(text: str) -> Figure:
    words = text.split(maxsplit=3)
    if len(words) != 4 or words[0] != "a":
        raise ValueError(f"{text!r} is not 'a <colour> <shape> <motion>'")
    allowed: dict[str, Collection[str]] = {"colour": COLOURS, "shape": SHAPES, "motion": MOTIONS}
    for word, (name, values) in zip(words[1:], allowed.items(), strict=True):
        if word not in values:
            raise ValueError(f"{word!r} is not a {name}: {', '.join(values)}")
    return Figure(*words[1:])


def training_scenes(n: int, seed: int = 0) -> list[Scene]:
    """Draw ``n`` scenes whose captions contain no held-out figure; 70 % have two figures."""
    return [_draw_scene(np.random.default_rng([seed, 0, i]), held_out=False) for i in range(n)]


def held_out_scenes(n: int, seed: int = 0) -> list[Scene]:
    """Draw ``n`` scenes with different captions, each with at least one held-out figure."""
    scenes: dict[str, Scene] = {}
    for scene in _stream(seed):
        scenes.setdefault(scene.caption, scene)
        if len(scenes) >= n:
            return list(scenes.values())
    raise AssertionError("unreachable: the stream does not end")


def _stream(seed: int) -> Iterator[Scene]:
    index = 0
    while True:
        yield _draw_scene(np.random.default_rng([seed, 1, index]), held_out=True)
        index += 1


def _draw_scene(rng: np.random.Generator, *, held_out: bool) -> Scene:
    description = _draw_description(rng, held_out=held_out)
    return Scene(description, _place(rng, description))


def _draw_description(rng: np.random.Generator, *, held_out: bool) -> Description:
    every = figures()
    wanted = [figure for figure in every if figure.held_out == held_out]
    first = wanted[rng.integers(len(wanted))]
    if rng.random() >= 0.7:
        return Description((first,))
    others = [figure for figure in (every if held_out else wanted) if figure.colour != first.colour]
    pair = (first, others[rng.integers(len(others))])
    relation = list(RELATIONS)[rng.integers(len(RELATIONS))]
    return Description(pair if rng.random() < 0.5 else pair[::-1], relation)


def _place(rng: np.random.Generator, description: Description) -> tuple[Placement, ...]:
    """Draw placements inside the frame which show the relation, without any contact."""
    while True:
        placements = tuple(_draw_placement(rng, figure) for figure in description.figures)
        if description.relation is None or _shows(description, placements):
            return placements


def _draw_placement(rng: np.random.Generator, figure: Figure) -> Placement:
    radius = rng.uniform(*RADII)
    travel = SPEED * (NUM_FRAMES - 1) / 2
    reach = [EXTENT * radius + travel * abs(part) for part in MOTIONS[figure.motion]]
    x, y = (rng.uniform(margin, SIZE - margin) for margin in reach)
    return Placement(float(x), float(y), float(radius))


def _shows(description: Description, placements: tuple[Placement, ...]) -> bool:
    first, second = (
        track(figure, placement)
        for figure, placement in zip(description.figures, placements, strict=True)
    )
    distance = first - second
    if np.abs(distance).max(axis=1).min() < MIN_DISTANCE:
        return False
    along, across = _along_and_across(str(description.relation), distance.mean(axis=0))
    return along > MIN_DISTANCE and along > 1.25 * across


def _along_and_across(relation: str, offset: npt.NDArray[np.float64]) -> tuple[float, float]:
    direction = np.array(RELATIONS[relation], dtype=np.float64)
    return float(offset @ direction), float(abs(offset @ direction[::-1]))


def track(
    figure: Figure, placement: Placement, num_frames: int = NUM_FRAMES
) -> npt.NDArray[np.float64]:
    """Centres (x, y) of a figure in each frame, shape (frames, 2), in pixels."""
    time = np.arange(num_frames) - (NUM_FRAMES - 1) / 2
    centre = np.array([placement.x, placement.y])
    centres: Centres = centre + SPEED * time[:, None] * np.array(MOTIONS[figure.motion])
    return centres


def coverage(shape: str, x: float, y: float, radius: float, size: int = SIZE) -> Mask:
    """Anti-aliased mask of one shape centred on its centre of mass, shape (size, size).

    Shapes of one radius have similar areas.
    """
    grid = np.arange(size) + 0.5
    dx, dy = grid[None, :] - x, grid[:, None] - y
    if shape == "circle":
        distance = np.hypot(dx, dy) - radius
    elif shape == "square":
        distance = np.maximum(np.abs(dx), np.abs(dy)) - 0.886 * radius
    else:
        sides = np.abs(dx) * 0.866 - dy * 0.5
        distance = np.maximum(sides, dy) - 0.7 * radius
    mask: Mask = np.clip(0.5 - distance, 0.0, 1.0).astype(np.float32)
    return mask


def render(scene: Scene, num_frames: int = NUM_FRAMES) -> Clip:
    """Draw a scene, shape (frames, height, width, 3), values in [0, 1]."""
    clip = np.empty((num_frames, SIZE, SIZE, 3), dtype=np.float32)
    clip[:] = BACKGROUND
    for figure, placement in zip(scene.description.figures, scene.placements, strict=True):
        colour = np.array(COLOURS[figure.colour], dtype=np.float32)
        for frame, (x, y) in zip(clip, track(figure, placement, num_frames), strict=True):
            mask = coverage(figure.shape, x, y, placement.radius)[..., None]
            frame += mask * (colour - frame)
    return clip
