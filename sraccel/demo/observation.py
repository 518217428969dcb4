"""What a video of the demo world shows: its objects, found from the pixels alone.

Each pixel goes to the nearest colour of the world, whatever a pattern adds to it; connected
regions of one colour become *detections*, followed through the frames into *observations*. Needs
NumPy only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sraccel.demo.shapes import (
    COLOURS,
    MOTIONS,
    PATTERN_CONTRAST,
    PATTERN_PERIOD,
    PLAIN,
    SHAPES,
    SPEED,
    Centres,
    Clip,
    Figure,
    Mask,
    background,
    coverage,
)

MIN_AREA = 30.0
"""A region smaller than this is not an object, in pixels."""
MIN_PRESENCE = 0.6
"""An object is there in at least this fraction of the frames."""
MIN_CONTRAST = 0.4 * PATTERN_CONTRAST
"""A fainter pattern is none."""

Labels = npt.NDArray[np.int64]
Region = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Detection:
    """One region of one colour in one frame; the centre (x, y) and the area are in pixels."""

    frame: int
    centre: tuple[float, float]
    area: float
    mask: Mask


@dataclass(frozen=True, eq=False)
class Observation:
    """One object of a video: what a caption would say about it, and where it was seen."""

    figure: Figure
    detections: tuple[Detection, ...]

    @property
    def centre(self) -> tuple[float, float]:
        """Mean position (x, y), in pixels."""
        x, y = np.mean([found.centre for found in self.detections], axis=0)
        return float(x), float(y)

    @property
    def area(self) -> float:
        """Mean area, in square pixels."""
        return float(np.mean([found.area for found in self.detections]))


def observe(clip: Clip) -> list[Observation]:
    """Find the objects of a clip of shape (frames, height, width, 3), values in [0, 1]."""
    labels = nearest_colour(clip)
    found = []
    for index, colour in enumerate(COLOURS, start=1):
        frames = [
            _detections(number, frame, label == index, colour)
            for number, (frame, label) in enumerate(zip(clip, labels, strict=True))
        ]
        found += [_observation(clip, colour, track) for track in _tracks(frames)]
    return found


def nearest_colour(clip: Clip) -> Labels:
    """Index of the nearest colour of each pixel, 0 the background; shape (frames, h, w).

    A pixel may be lighter or darker than its colour by what a pattern adds.
    """
    palette = np.array(list(COLOURS.values()), dtype=np.float32)
    offset = clip[..., None, :] - palette
    lift = offset.mean(-1, keepdims=True).clip(-PATTERN_CONTRAST, PATTERN_CONTRAST)
    figures = ((offset - lift) ** 2).sum(-1)
    sky = ((clip - background(clip.shape[1])) ** 2).sum(-1, keepdims=True)
    labels: Labels = np.concatenate([sky, figures], axis=-1).argmin(-1)
    return labels


def opacity(frame: Clip, region: Region, colour: str) -> Mask:
    """How much of each pixel an object of a colour covers: soft at its border, 0 beyond.

    Args:
        frame: shape (height, width, 3), values in [0, 1].
        region: the pixels whose nearest colour it is, shape (height, width).
        colour: its name.
    """
    sky = background(frame.shape[0])
    way = np.array(COLOURS[colour], dtype=np.float32) - sky
    share = np.clip(((frame - sky) * way).sum(-1) / (way * way).sum(-1), 0.0, 1.0)
    inside = ~_grow(~region)
    mask: Mask = np.where(inside, 1.0, np.where(_grow(region), share, 0.0)).astype(np.float32)
    return mask


def _detections(number: int, frame: Clip, mask: Region, colour: str) -> list[Detection]:
    if mask.sum() < MIN_AREA:
        return []
    regions = label_regions(mask)
    names, areas = np.unique(regions[mask], return_counts=True)
    large = names[areas >= MIN_AREA]
    return [_detection(number, opacity(frame, regions == name, colour)) for name in large]


def _detection(number: int, mask: Mask) -> Detection:
    grid = np.arange(mask.shape[0]) + 0.5
    area = float(mask.sum())
    centre = (float(mask.sum(0) @ grid) / area, float(mask.sum(1) @ grid) / area)
    return Detection(number, centre, area, mask)


def _grow(mask: Region) -> Region:
    """Add the four neighbours of each pixel."""
    padded = np.pad(mask, 1)
    around = padded[:-2, 1:-1] | padded[2:, 1:-1] | padded[1:-1, :-2] | padded[1:-1, 2:]
    grown: Region = around | mask
    return grown


def label_regions(mask: Region) -> Labels:
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


def _observation(clip: Clip, colour: str, track: list[Detection]) -> Observation:
    centres = np.array([found.centre for found in track])
    pattern = classify_pattern(clip, track)
    figure = Figure(colour, classify_shape(track), classify_motion(centres), pattern)
    return Observation(figure, tuple(track))


def classify_shape(track: Sequence[Detection]) -> str:
    """Shape whose ideal mask of the same centre and area overlaps best, over all frames."""
    overlap = {shape: sum(_overlap(found, shape) for found in track) for shape in SHAPES}
    return max(overlap, key=lambda shape: overlap[shape])


UNIT_AREA = {shape: float(coverage(shape, 64, 64, 40, size=128).sum()) / 1600 for shape in SHAPES}
"""Area of each shape of radius 1, in square pixels."""


def _overlap(found: Detection, shape: str) -> float:
    """Intersection over union of a detection and the ideal mask of a shape."""
    radius = (found.area / UNIT_AREA[shape]) ** 0.5
    ideal = coverage(shape, *found.centre, radius, size=found.mask.shape[0])
    union = float(np.maximum(ideal, found.mask).sum())
    return float(np.minimum(ideal, found.mask).sum()) / union


def classify_motion(centres: Centres) -> str:
    """Motion nearest to the fitted velocity of the centres (frames, 2), in pixels per frame."""
    time = np.arange(len(centres)) - (len(centres) - 1) / 2
    velocity = time @ (centres - centres.mean(0)) / max(float(time @ time), 1.0)
    distance = {
        name: float(np.hypot(*(velocity - SPEED * np.array(direction))))
        for name, direction in MOTIONS.items()
    }
    return min(distance, key=lambda name: distance[name])


def classify_pattern(clip: Clip, track: Sequence[Detection]) -> str:
    """The pattern whose waves around the centres have most contrast; plain if all are faint."""
    waves = pattern_waves(clip, track, [found.centre for found in track])
    contrast = {"striped": abs(waves[0]), "dotted": abs(waves[1]) + abs(waves[2])}
    best = max(contrast, key=lambda name: contrast[name])
    return best if contrast[best] >= MIN_CONTRAST else PLAIN


def pattern_waves(
    clip: Clip, track: Sequence[Detection], centres: Sequence[Sequence[float]]
) -> npt.NDArray[np.complex128]:
    """Amplitudes of three waves of brightness inside an object: stripes, and the two diagonals.

    Dots are the sum of both diagonals, each of half their contrast. A wave's angle is its phase at
    the centres, which are given for each detection of the track.
    """
    total, count = np.zeros(3, dtype=np.complex128), 0.0
    for found, (x, y) in zip(track, centres, strict=True):
        inside = found.mask >= 1.0
        if not inside.any():
            continue
        light = clip[found.frame].mean(-1)[inside]
        rows, columns = np.nonzero(inside)
        across = 2 * np.pi * (columns + 0.5 - x) / PATTERN_PERIOD
        down = 2 * np.pi * (rows + 0.5 - y) / PATTERN_PERIOD
        angles = np.stack([down, down + across, down - across])
        total += np.exp(-1j * angles) @ (light - light.mean())
        count += len(light)
    waves: npt.NDArray[np.complex128] = 2 * total / max(count, 1.0)
    return waves
