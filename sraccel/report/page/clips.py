"""Videos for a page: read, measured, and turned into data URIs."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sraccel.errors import OutputError
from sraccel.video.mp4 import FRAME_SIZE

LABELS = {
    "bare": "Bare",
    "accelerated": "Accelerated",
    "rival": "Rival: fewer steps, at the same cost",
}
COARSE = 200
"""Pixels of a side, below which frames look broken where nobody says how large they are."""


@dataclass(frozen=True)
class Clip:
    """A video that a page carries.

    Attributes:
        way: of running: `bare`, `accelerated` or `rival`, or a study's cell.
        uri: the whole file, as a `data:` URI.
        fps: frames per second.
        frame_size: width and height as the model made them; the file's may be larger.
    """

    way: str
    label: str
    uri: str
    width: int
    height: int
    fps: float
    frames: int
    frame_size: tuple[int, int]

    @property
    def coarse(self) -> bool:
        """Whether the page must explain its frames' size."""
        return min(self.frame_size) < COARSE


def load_clips(videos: Mapping[str, Path]) -> list[Clip]:
    """Read MP4 files; the bare one comes first.

    Raises:
        OutputError: a file is missing or is not a video.
    """
    return [load_clip(way, label, videos[way]) for way, label in LABELS.items() if way in videos]


def load_clip(way: str, label: str, path: Path) -> Clip:
    """Read an MP4 file.

    Raises:
        OutputError: it is missing or is not a video.
    """
    facts = _measure(path)
    uri = "data:video/mp4;base64," + base64.b64encode(path.read_bytes()).decode("ascii")
    return Clip(way, label, uri, **facts)


def _measure(path: Path) -> dict[str, Any]:
    import av

    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            return {
                "width": stream.width,
                "height": stream.height,
                "fps": float(stream.average_rate or 1),
                "frames": stream.frames or sum(1 for _ in container.decode(stream)),
                "frame_size": _size(container.metadata) or (stream.width, stream.height),
            }
    except (OSError, ValueError, IndexError) as error:  # PyAV's errors are OSErrors or ValueErrors
        raise OutputError(
            f"cannot put {path} into the page: it is not a video that can be read ({error}); "
            "make it again, or remove it",
            path=path,
        ) from error


def _size(tags: Mapping[str, str]) -> tuple[int, int] | None:
    """What the file says of its frames before they were enlarged."""
    found = re.fullmatch(r"(\d{1,5})x(\d{1,5})", tags.get(FRAME_SIZE, ""))
    return (int(found[1]), int(found[2])) if found else None
