"""Videos for a page: read, measured, and turned into data URIs."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sraccel.errors import OutputError

LABELS = {
    "bare": "Bare",
    "accelerated": "Accelerated",
    "rival": "Rival: fewer steps, at the same cost",
}


@dataclass(frozen=True)
class Clip:
    """A video that a page carries.

    Attributes:
        way: of running: `bare`, `accelerated` or `rival`, or a study's cell.
        uri: the whole file, as a `data:` URI.
        fps: frames per second.
    """

    way: str
    label: str
    uri: str
    width: int
    height: int
    fps: float
    frames: int


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
    width, height, fps, frames = _measure(path)
    uri = "data:video/mp4;base64," + base64.b64encode(path.read_bytes()).decode("ascii")
    return Clip(way, label, uri, width, height, fps, frames)


def _measure(path: Path) -> tuple[int, int, float, int]:
    import av

    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            frames = stream.frames or sum(1 for _ in container.decode(stream))
            return stream.width, stream.height, float(stream.average_rate or 1), frames
    except (OSError, ValueError, IndexError) as error:  # PyAV's errors are OSErrors or ValueErrors
        raise OutputError(
            f"cannot put {path} into the page: it is not a video that can be read ({error}); "
            "make it again, or remove it",
            path=path,
        ) from error
