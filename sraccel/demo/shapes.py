"""The demo world: captions of moving shapes, seeded scenes, and clips rendered from them.

A *figure* is a colour, a pattern, a shape and a motion. A *description* is one to three figures
with a relation between each and the next; its text is the caption. A *scene* adds what a caption
leaves open: where, how large, and how the patterns lie; rendering it gives a clip. One fifth of all
(colour, shape, motion) is held out: it never occurs in a training caption.

Positions are in pixels, x to the right and y downwards, the origin at the top left corner.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np
import numpy.typing as npt

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
MAX_FIGURES = 3
SHARES = (0.2, 0.5, 0.3)
"""Of the descriptions drawn with one, two and three figures; those of three often find no place."""
MAX_DRAWS = 200
"""Attempts to place the figures of a description before another one is drawn."""

SKY = np.array([(0.04, 0.05, 0.13), (0.17, 0.11, 0.19)], dtype=np.float32)
"""Colours of the background at the top and at the bottom."""
COLOURS: dict[str, tuple[float, float, float]] = {
    "red": (0.88, 0.22, 0.20),
    "green": (0.20, 0.74, 0.26),
    "blue": (0.22, 0.36, 0.92),
    "yellow": (0.88, 0.82, 0.20),
    "purple": (0.72, 0.26, 0.86),
    "cyan": (0.20, 0.80, 0.86),
}
PLAIN = "plain"
"""The pattern that a caption does not name."""
NAMED = ("striped", "dotted")
"""The patterns that a caption names."""
PATTERNS = (PLAIN, *NAMED)
PATTERN_PERIOD = 5.0
"""Pixels from one stripe, or row of dots, to the next."""
PATTERN_CONTRAST = 0.2
"""How far a pattern's crests lie above a figure's colour, and its troughs below."""
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
Numbers = float | npt.NDArray[np.float64]


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
