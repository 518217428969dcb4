"""Scenes of moving shapes that a caption describes, drawn by a seed, and the clips that show them.

A *scene* adds to a description what a caption leaves open: where, how large, and how the patterns
lie; rendering it gives a clip. Positions are in pixels, x to the right and y downwards, the origin
at the top left corner.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from sraccel.demo.captions import (
    COLOURS,
    MAX_FIGURES,
    MOTIONS,
    PLAIN,
    RELATIONS,
    Description,
    Figure,
    figures,
)

SIZE = 64
"""Height and width of a clip, in pixels."""
NUM_FRAMES = 9
"""Frames of a clip as trained (``WanPipeline(num_frames=8)`` returns nine, see the docs)."""
SPEED = 1.6
"""Pixels per frame of a moving figure."""
RADII = (5.5, 7.5)
"""Range of a figure's radius, in pixels."""
EXTENT = 1.3
"""A figure's centre stays this many radii away from the border."""
MIN_DISTANCE = 16.0
"""Two figures keep this distance along x or y in every frame, in pixels."""
EDGE = 1.5
"""Width of a figure's soft edge, in pixels."""
SHARES = (0.2, 0.5, 0.3)
"""Of the descriptions drawn with one, two and three figures; those of three often find no place."""
MAX_DRAWS = 200
"""Attempts to place the figures of a description before another one is drawn."""

SKY = np.array([(0.04, 0.05, 0.13), (0.17, 0.11, 0.19)], dtype=np.float32)
"""Colours of the background at the top and at the bottom."""
PATTERN_PERIOD = 5.0
"""Pixels from one stripe, or row of dots, to the next."""
PATTERN_CONTRAST = 0.2
"""How far a pattern's crests lie above a figure's colour, and its troughs below."""

Clip = npt.NDArray[np.float32]
"""RGB video in [0, 1], shape (frames, height, width, 3)."""
Mask = npt.NDArray[np.float32]
"""Coverage in [0, 1], shape (height, width)."""
Centres = npt.NDArray[np.float64]
"""Positions (x, y) in each frame, shape (frames, 2), in pixels."""
Numbers = float | npt.NDArray[np.float64]


@dataclass(frozen=True)
class Placement:
    """Where a figure is: its centre at mid-clip and its radius, in pixels.

    ``phase`` is how its pattern lies, along x and along y, in radians.
    """

    x: float
    y: float
    radius: float
    phase: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True)
class Scene:
    """A description together with a placement for each of its figures."""

    description: Description
    placements: tuple[Placement, ...]

    @property
    def caption(self) -> str:
        """The caption of this scene."""
        return self.description.text


def training_scenes(n: int, seed: int = 0) -> list[Scene]:
    """Draw ``n`` scenes whose captions contain no held-out figure.

    About a quarter has one figure, three fifths have two, the others three.
    """
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
    while True:
        description = _draw_description(rng, held_out=held_out)
        placements = _place(rng, description)
        if placements is not None:
            return Scene(description, placements)


def _draw_description(rng: np.random.Generator, *, held_out: bool) -> Description:
    every = figures()
    wanted = [figure for figure in every if figure.held_out == held_out]
    chosen = [wanted[rng.integers(len(wanted))]]
    for _ in range(rng.choice(MAX_FIGURES, p=SHARES)):
        colours = {figure.colour for figure in chosen}
        others = [
            figure for figure in (every if held_out else wanted) if figure.colour not in colours
        ]
        chosen.append(others[rng.integers(len(others))])
    rng.shuffle(chosen)
    names = list(RELATIONS)
    relations = [names[rng.integers(len(names))] for _ in chosen[1:]]
    return Description(tuple(chosen), tuple(relations))


def _place(rng: np.random.Generator, description: Description) -> tuple[Placement, ...] | None:
    """Draw placements inside the frame which show the relations, without any contact."""
    for _ in range(MAX_DRAWS):
        placements = tuple(_draw_placement(rng, figure) for figure in description.figures)
        if _shows(description, placements):
            return placements
    return None


def _draw_placement(rng: np.random.Generator, figure: Figure) -> Placement:
    radius = rng.uniform(*RADII)
    travel = SPEED * (NUM_FRAMES - 1) / 2
    reach = [EXTENT * radius + travel * abs(part) for part in MOTIONS[figure.motion]]
    x, y = (rng.uniform(margin, SIZE - margin) for margin in reach)
    phase = rng.uniform(0, 2 * np.pi, 2)
    return Placement(float(x), float(y), float(radius), (float(phase[0]), float(phase[1])))


def _shows(description: Description, placements: tuple[Placement, ...]) -> bool:
    tracks = [
        track(figure, placement)
        for figure, placement in zip(description.figures, placements, strict=True)
    ]
    apart = all(
        np.abs(first - second).max(axis=1).min() >= MIN_DISTANCE
        for first, second in combinations(tracks, 2)
    )
    return apart and all(
        _stand(relation, (first - second).mean(axis=0))
        for relation, first, second in zip(
            description.relations, tracks[:-1], tracks[1:], strict=True
        )
    )


def _stand(relation: str, offset: npt.NDArray[np.float64]) -> bool:
    along, across = _along_and_across(relation, offset)
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


def coverage(shape: str, x: Numbers, y: Numbers, radius: Numbers, size: int = SIZE) -> Mask:
    """Anti-aliased mask of one shape centred on its centre of mass, shape (size, size).

    Shapes of one radius have similar areas. Centres and radii of shape (n, 1, 1) give n masks.
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
    mask: Mask = np.clip(0.5 - distance / EDGE, 0.0, 1.0).astype(np.float32)
    return mask


def pattern(
    name: str, placement: Placement, x: Numbers, y: Numbers, size: int = SIZE
) -> npt.NDArray[np.float32]:
    """Brightness that a pattern adds around a centre (x, y), shape (size, size).

    The pattern moves with its figure; its mean over the plane is zero. Centres of shape (n, 1, 1)
    give n of them.
    """
    if name == PLAIN:
        return np.zeros((size, size), dtype=np.float32)
    grid = np.arange(size) + 0.5
    across = np.cos(2 * np.pi * (grid[None, :] - x) / PATTERN_PERIOD + placement.phase[0])
    down = np.cos(2 * np.pi * (grid[:, None] - y) / PATTERN_PERIOD + placement.phase[1])
    wave = down * (across if name == "dotted" else np.ones((1, size)))
    light: npt.NDArray[np.float32] = (PATTERN_CONTRAST * wave).astype(np.float32)
    return light


def background(size: int = SIZE) -> Clip:
    """The sky behind the figures, shape (size, size, 3), values in [0, 1]."""
    down = ((np.arange(size) + 0.5) / size).astype(np.float32)[:, None]
    rows = SKY[0] + down * (SKY[1] - SKY[0])
    return np.repeat(rows[:, None, :], size, axis=1)


def render(scene: Scene, num_frames: int = NUM_FRAMES) -> Clip:
    """Draw a scene, shape (frames, height, width, 3), values in [0, 1]."""
    clip = np.repeat(background()[None], num_frames, axis=0)
    for figure, placement in zip(scene.description.figures, scene.placements, strict=True):
        x, y = track(figure, placement, num_frames).T[..., None, None]
        mask = coverage(figure.shape, x, y, placement.radius)[..., None]
        light = pattern(figure.pattern, placement, x, y)[..., None]
        lit = np.array(COLOURS[figure.colour], dtype=np.float32) + light
        clip += mask * (np.clip(lit, 0.0, 1.0) - clip)
    return clip
