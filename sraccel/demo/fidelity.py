"""How near a video of the demo world comes to the ideal one of its caption; continuous measures.

A caption leaves open where its figures are, how large, and how their patterns lie. The *ideal*
scene takes these from the video: it is what the video would be if everything that the caption
says were drawn exactly. Imports no torch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sraccel.demo.captions import Description, Figure, described
from sraccel.demo.observation import (
    UNIT_AREA,
    Observation,
    Sighting,
    opacity,
    pattern_waves,
    pixels_of,
    sighting,
)
from sraccel.demo.score import Assignment, assign
from sraccel.demo.shapes import RADII, SIZE, Clip, Mask, Placement, Scene, coverage, render, track

MISSING_PATH = SIZE / 4
"""The path error of a figure that is not there, in pixels."""


@dataclass(frozen=True)
class Fidelity:
    """Distance of a video to the ideal one of its caption.

    Attributes:
        iou: intersection over union of each figure's colour with its ideal masks, over all frames;
            mean over the figures. A double or a missing figure counts.
        path: mean distance of the figures to their ideal paths, in pixels.
        psnr_db: PSNR to the ideal clip.
    """

    iou: float
    path: float
    psnr_db: float


def fidelity(video: Clip | Sighting, caption: str | Description) -> Fidelity:
    """Compare a clip of shape (frames, height, width, 3), values in [0, 1], with the ideal one.

    Raises:
        ValueError: the caption, or the clip's size, is not of this world.
    """
    seen, wanted = sighting(video), described(caption)
    chosen = assign(seen.objects, wanted)
    scene = _ideal_scene(seen.clip, wanted, chosen)
    parts = list(zip(wanted.figures, scene.placements, chosen, strict=True))
    error = float(((seen.clip - render(scene, len(seen.clip))) ** 2).mean())
    return Fidelity(
        iou=float(np.mean([_iou(seen, *part) for part in parts])),
        path=float(np.mean([_path_error(seen.clip, *part) for part in parts])),
        psnr_db=-10 * float(np.log10(max(error, 1e-10))),
    )


def ideal_scene(video: Clip | Sighting, caption: str | Description) -> Scene:
    """The scene that shows exactly what a caption says, and lies as the clip does."""
    seen, wanted = sighting(video), described(caption)
    return _ideal_scene(seen.clip, wanted, assign(seen.objects, wanted))


def _ideal_scene(clip: Clip, wanted: Description, chosen: Assignment) -> Scene:
    parts = zip(wanted.figures, chosen, strict=True)
    return Scene(wanted, tuple(_ideal_placement(clip, *part) for part in parts))


def _ideal_placement(clip: Clip, figure: Figure, seen: Observation | None) -> Placement:
    """Where the wanted figure would be; the middle of the frame if nothing shows it."""
    if seen is None:
        return Placement(SIZE / 2, SIZE / 2, sum(RADII) / 2)
    found = seen.detections
    moved = track(figure, Placement(0.0, 0.0, 0.0), len(clip))[found.frames]
    middle = (found.centres - moved).mean(0)
    radius = (seen.area / UNIT_AREA[figure.shape]) ** 0.5
    stripes, plus, minus = np.angle(pattern_waves(clip, found, moved + middle))
    across, down = (plus - minus) / 2, (plus + minus) / 2
    if figure.pattern == "striped":
        across, down = 0.0, stripes
    return Placement(float(middle[0]), float(middle[1]), radius, (float(across), float(down)))


def _iou(seen: Sighting, figure: Figure, placement: Placement, shown: Observation | None) -> float:
    if shown is None:
        return 0.0
    drawn = opacity(seen.clip, pixels_of(seen.labels, figure.colour), figure.colour)
    ideal = _ideal_masks(figure, placement, len(seen.clip))
    return float(np.minimum(drawn, ideal).sum()) / float(np.maximum(drawn, ideal).sum())


def _ideal_masks(figure: Figure, placement: Placement, num_frames: int) -> Mask:
    x, y = track(figure, placement, num_frames).T[..., None, None]
    return coverage(figure.shape, x, y, placement.radius)


def _path_error(
    clip: Clip, figure: Figure, placement: Placement, shown: Observation | None
) -> float:
    if shown is None:
        return MISSING_PATH
    found = shown.detections
    away = found.centres - track(figure, placement, len(clip))[found.frames]
    return float(np.hypot(*away.T).mean())
