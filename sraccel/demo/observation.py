"""What a video of the demo world shows: its objects, found from the pixels alone.

Each pixel goes to the nearest colour of the world, whatever a pattern adds to it; connected
regions of one colour are followed through the frames. Needs NumPy and SciPy only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.optimize import linear_sum_assignment

from sraccel.demo.captions import COLOURS, MOTIONS, PLAIN, SHAPES, Figure
from sraccel.demo.shapes import (
    PATTERN_CONTRAST,
    PATTERN_PERIOD,
    SIZE,
    SPEED,
    Centres,
    Clip,
    Mask,
    background,
    coverage,
)

MIN_AREA = 30
"""A region smaller than this is not an object, in pixels."""
MIN_PRESENCE = 0.6
"""An object is there in at least this fraction of the frames."""
MIN_CONTRAST = 0.4 * PATTERN_CONTRAST
"""A fainter pattern is none."""
PALETTE = np.array(list(COLOURS.values()), dtype=np.float32)
UNIT_AREA = {shape: float(coverage(shape, 64, 64, 40, size=128).sum()) / 1600 for shape in SHAPES}
"""Area of each shape of radius 1, in square pixels."""
NEIGHBOURS = ndimage.generate_binary_structure(3, 1) & np.array([0, 1, 0], bool)[:, None, None]
"""A pixel touches the four beside it, and none of another frame."""

Labels = npt.NDArray[np.int64]
Region = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Detections:
    """Regions of one colour, in the order of their frames.

    Attributes:
        frames: the frame of each, shape (n,).
        centres: positions (x, y), shape (n, 2), in pixels.
        areas: shape (n,), in square pixels.
        masks: how much of each pixel it covers, shape (n, height, width).
    """

    frames: Labels
    centres: Centres
    areas: npt.NDArray[np.float64]
    masks: Mask

    def __getitem__(self, chosen: Sequence[int]) -> Detections:
        """Some of them, by their indices."""
        index = list(chosen)
        return Detections(
            self.frames[index], self.centres[index], self.areas[index], self.masks[index]
        )


@dataclass(frozen=True, eq=False)
class Observation:
    """One object of a video: what a caption would say about it, and where it was seen."""

    figure: Figure
    detections: Detections

    @cached_property
    def centre(self) -> tuple[float, float]:
        """Mean position (x, y), in pixels."""
        x, y = self.detections.centres.mean(0)
        return float(x), float(y)

    @property
    def area(self) -> float:
        """Mean area, in square pixels."""
        return float(self.detections.areas.mean())


@dataclass(frozen=True, eq=False)
class Sighting:
    """A clip, its pixels' nearest colours, and the objects found in it."""

    clip: Clip
    labels: Labels
    objects: tuple[Observation, ...]


def sighting(video: Clip | Sighting) -> Sighting:
    """Observe a clip, unless that was done already."""
    return video if isinstance(video, Sighting) else observe(video)


def observe(clip: Clip) -> Sighting:
    """Find the objects of a clip of shape (frames, height, width, 3), values in [0, 1].

    Raises:
        ValueError: it has not the size of this world.
    """
    if clip.ndim != 4 or not len(clip) or clip.shape[1:] != (SIZE, SIZE, 3):
        raise ValueError(f"a clip has the shape (frames, {SIZE}, {SIZE}, 3), not {clip.shape}")
    labels = nearest_colour(clip)
    objects = [
        _observation(clip, colour, track)
        for colour in COLOURS
        for track in _tracks(_detections(clip, pixels_of(labels, colour), colour), len(clip))
    ]
    return Sighting(clip, labels, tuple(objects))


def nearest_colour(clip: Clip) -> Labels:
    """Index of the nearest colour of each pixel, 0 the background; shape (frames, h, w).

    A pixel may be lighter or darker than its colour by what a pattern adds.
    """
    sky = background(clip.shape[1])
    lighter = clip.mean(-1)[..., None] - PALETTE.mean(-1)
    lift = lighter.clip(-PATTERN_CONTRAST, PATTERN_CONTRAST)
    # Squared distances |pixel - colour - lift|^2, less |pixel|^2, which all have in common.
    figures = (PALETTE**2).sum(-1) - 2 * clip @ PALETTE.T + 3 * lift * (lift - 2 * lighter)
    ground = (sky**2).sum(-1) - 2 * np.einsum("fhwc,hwc->fhw", clip, sky)
    labels: Labels = np.where(figures.min(-1) < ground, 1 + figures.argmin(-1), 0)
    return labels


def pixels_of(labels: Labels, colour: str) -> Region:
    """Where a colour is the nearest one."""
    region: Region = labels == 1 + list(COLOURS).index(colour)
    return region


def opacity(clip: Clip, region: Region, colour: str) -> Mask:
    """How much of each pixel the objects of a colour cover: soft at their border, 0 beyond.

    Brightness does not count, so a pattern changes nothing.

    Args:
        clip: shape (frames, height, width, 3), values in [0, 1].
        region: the pixels whose nearest colour it is, shape (frames, height, width).
        colour: its name.
    """
    sky = background(clip.shape[1])
    way = np.array(COLOURS[colour], dtype=np.float32) - sky
    way -= way.mean(-1, keepdims=True)
    way /= (way**2).sum(-1, keepdims=True)
    share = np.einsum("fhwc,hwc->fhw", clip, way) - (sky * way).sum(-1)
    inside = ndimage.binary_erosion(region, NEIGHBOURS, border_value=1)
    around = ndimage.binary_dilation(region, NEIGHBOURS)
    mask: Mask = np.where(inside, 1, np.where(around, share.clip(0, 1), 0)).astype(np.float32)
    return mask


def _detections(clip: Clip, region: Region, colour: str) -> Detections:
    """The regions of a colour that are large enough."""
    numbers, _ = ndimage.label(region, NEIGHBOURS)
    large = [
        (number, box[0].start)
        for number, box in enumerate(ndimage.find_objects(numbers), start=1)
        if (numbers[box] == number).sum() >= MIN_AREA
    ]
    masks = np.zeros((len(large), *region.shape[1:]), dtype=np.float32)
    if large:
        drawn = opacity(clip, region, colour)
        for mask, (number, frame) in zip(masks, large, strict=True):
            own = ndimage.binary_dilation(numbers[frame] == number, NEIGHBOURS[1])
            mask[own] = drawn[frame][own]
    return _measured(np.array([frame for _, frame in large], dtype=np.int64), masks)


def _measured(frames: Labels, masks: Mask) -> Detections:
    grid = np.arange(masks.shape[-1]) + 0.5
    areas = masks.sum((1, 2), dtype=np.float64)
    centres = np.stack([masks.sum(1) @ grid, masks.sum(2) @ grid], axis=-1) / areas[:, None]
    return Detections(frames, centres, areas, masks)


def _tracks(found: Detections, num_frames: int) -> list[Detections]:
    """Follow the regions of one colour: as many tracks as enough frames have regions.

    Of a frame's largest regions, each goes to the track that ended nearest to it.
    """
    needed = math.ceil(MIN_PRESENCE * num_frames)
    count = np.sort(np.bincount(found.frames, minlength=num_frames))[-needed]
    tracks: list[list[int]] = [[] for _ in range(count)]
    for frame in range(num_frames):
        here = np.flatnonzero(found.frames == frame)
        here = here[np.argsort(-found.areas[here], kind="stable")][:count]
        away = np.full((len(here), count), 2.0 * SIZE)
        for column, track in enumerate(tracks):
            if track:
                away[:, column] = np.hypot(*(found.centres[here] - found.centres[track[-1]]).T)
        for row, column in zip(*linear_sum_assignment(away), strict=True):
            tracks[column].append(here[row])
    return [found[track] for track in tracks]


def _observation(clip: Clip, colour: str, track: Detections) -> Observation:
    motion = classify_motion(track.frames, track.centres)
    figure = Figure(colour, classify_shape(track), motion, classify_pattern(clip, track))
    return Observation(figure, track)


def classify_shape(track: Detections) -> str:
    """Shape whose ideal masks of the same centres and areas overlap best."""
    return max(SHAPES, key=lambda shape: _overlap(track, shape))


def _overlap(track: Detections, shape: str) -> float:
    """Intersection over union of detections and the ideal masks of a shape, mean."""
    x, y = track.centres.T[..., None, None]
    radii = (track.areas[:, None, None] / UNIT_AREA[shape]) ** 0.5
    ideal = coverage(shape, x, y, radii, size=track.masks.shape[-1])
    both = np.minimum(ideal, track.masks).sum((1, 2))
    return float((both / np.maximum(ideal, track.masks).sum((1, 2))).mean())


def classify_motion(frames: Labels, centres: Centres) -> str:
    """Motion nearest to the fitted velocity of the centres (n, 2), in pixels per frame."""
    time = frames - frames.mean()
    velocity = time @ (centres - centres.mean(0)) / max(float(time @ time), 1.0)
    distance = {
        name: float(np.hypot(*(velocity - SPEED * np.array(direction))))
        for name, direction in MOTIONS.items()
    }
    return min(distance, key=lambda name: distance[name])


def classify_pattern(clip: Clip, track: Detections) -> str:
    """The pattern whose waves around the centres have most contrast; plain if all are faint."""
    stripes, *dots = abs(pattern_waves(clip, track, track.centres))
    contrast = {"striped": stripes, "dotted": sum(dots)}
    best = max(contrast, key=lambda name: contrast[name])
    return best if contrast[best] >= MIN_CONTRAST else PLAIN


def pattern_waves(clip: Clip, track: Detections, centres: Centres) -> npt.NDArray[np.complex128]:
    """Amplitudes of three waves of brightness inside an object: stripes, and the two diagonals.

    Dots are the sum of both diagonals, each of half their contrast. A wave's angle is its phase at
    the centres, which are given for each detection of the track.
    """
    index, rows, columns = np.nonzero(track.masks >= 1.0)
    light = clip[track.frames[index], rows, columns].mean(-1, dtype=np.float64)
    means = np.bincount(index, light) / np.maximum(np.bincount(index), 1)
    across = 2 * np.pi * (columns + 0.5 - centres[index, 0]) / PATTERN_PERIOD
    down = 2 * np.pi * (rows + 0.5 - centres[index, 1]) / PATTERN_PERIOD
    angles = np.stack([down, down + across, down - across])
    waves: npt.NDArray[np.complex128] = np.exp(-1j * angles) @ (light - means[index])
    return 2 * waves / max(len(index), 1)
