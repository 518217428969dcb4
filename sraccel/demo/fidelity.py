"""How near a video of the demo world comes to the ideal one of its caption; continuous measures.

A caption leaves open where its figures are, how large, and how their patterns lie. The *ideal*
scene takes these from the video: it is what the video would be if everything that the caption
says were drawn exactly. Needs NumPy only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sraccel.demo.observation import (
    UNIT_AREA,
    Observation,
    nearest_colour,
    observe,
    opacity,
    pattern_waves,
)
from sraccel.demo.score import Assignment, assign
from sraccel.demo.shapes import (
    COLOURS,
    RADII,
    SIZE,
    Clip,
    Description,
    Figure,
    Placement,
    Scene,
    coverage,
    parse_caption,
    render,
    track,
)

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


def fidelity(clip: Clip, caption: str | Description) -> Fidelity:
    """Compare a clip of shape (frames, height, width, 3), values in [0, 1], with the ideal one."""
    wanted = parse_caption(caption) if isinstance(caption, str) else caption
    chosen = assign(observe(clip), wanted)
    scene = _ideal_scene(clip, wanted, chosen)
    parts = list(zip(wanted.figures, scene.placements, chosen, strict=True))
    error = float(((clip - render(scene, len(clip))) ** 2).mean())
    return Fidelity(
        iou=float(np.mean([_iou(clip, *part) for part in parts])),
        path=float(np.mean([_path_error(len(clip), *part) for part in parts])),
        psnr_db=-10 * float(np.log10(max(error, 1e-10))),
    )


def ideal_scene(clip: Clip, caption: str | Description) -> Scene:
    """The scene that shows exactly what a caption says, and lies as the clip does."""
    wanted = parse_caption(caption) if isinstance(caption, str) else caption
    return _ideal_scene(clip, wanted, assign(observe(clip), wanted))


def _ideal_scene(clip: Clip, wanted: Description, chosen: Assignment) -> Scene:
    parts = zip(wanted.figures, chosen, strict=True)
    return Scene(wanted, tuple(_ideal_placement(clip, *part) for part in parts))


def _ideal_placement(clip: Clip, figure: Figure, seen: Observation | None) -> Placement:
    """Where the wanted figure would be; the middle of the frame if nothing shows it."""
    if seen is None:
        return Placement(SIZE / 2, SIZE / 2, sum(RADII) / 2)
    found = seen.detections
    frames = [detection.frame for detection in found]
    moved = track(figure, Placement(0.0, 0.0, 0.0), len(clip))[frames]
    x, y = (np.array([detection.centre for detection in found]) - moved).mean(0)
    radius = (seen.area / UNIT_AREA[figure.shape]) ** 0.5
    waves = pattern_waves(clip, found, moved + np.array([x, y]))
    stripes, plus, minus = np.angle(waves)
    across, down = (plus - minus) / 2, (plus + minus) / 2
    if figure.pattern == "striped":
        across, down = 0.0, stripes
    return Placement(float(x), float(y), radius, (float(across), float(down)))


def _iou(clip: Clip, figure: Figure, placement: Placement, seen: Observation | None) -> float:
    if seen is None:
        return 0.0
    region = nearest_colour(clip) == 1 + list(COLOURS).index(figure.colour)
    drawn = np.stack(
        [opacity(frame, mask, figure.colour) for frame, mask in zip(clip, region, strict=True)]
    )
    ideal = np.stack(
        [
            coverage(figure.shape, x, y, placement.radius)
            for x, y in track(figure, placement, len(clip))
        ]
    )
    return float(np.minimum(drawn, ideal).sum()) / float(np.maximum(drawn, ideal).sum())


def _path_error(
    num_frames: int, figure: Figure, placement: Placement, seen: Observation | None
) -> float:
    if seen is None:
        return MISSING_PATH
    path = track(figure, placement, num_frames)
    away = [np.hypot(*(found.centre - path[found.frame])) for found in seen.detections]
    return float(np.mean(away))
