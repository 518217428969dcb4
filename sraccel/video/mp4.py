"""Video files: H.264 in MP4, written whole or not at all, and read back as arrays."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sraccel.errors import OutputError
from sraccel.files import replacing

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

FRAME_SIZE = "sraccel_frame_size"
"""Tag of a file whose frames were enlarged: what they were, as `64x48` (width, height)."""
MIN_SIDE = 256
"""Smaller videos are enlarged until their shorter side has this many pixels."""
CRF = "14"
"""x264's quality: visually lossless, so that the file shows the model and not the codec."""


def save_video(
    frames: Any,
    path: str | Path,
    *,
    fps: float = 16,
    metadata: Mapping[str, str] | None = None,
    min_side: int = MIN_SIDE,
) -> Path:
    """Write frames as an MP4 (H.264, yuv420p) that starts playing before it is fully read.

    A tiny video is enlarged by an integer factor without smoothing: players blur otherwise; the tag
    `FRAME_SIZE` then says what it was. An odd height or width loses its last row or column, since
    the format has none.

    Args:
        frames: array or tensor of shape (frames, height, width, 3), floating point in [0, 1] or
            uint8, or a list of PIL images.
        path: the file; its folder must exist.
        fps: frames per second.
        metadata: tags of the file, `{"comment": "..."}`.
        min_side: shorter side, in pixels, up to which a video is enlarged; 0 never enlarges.

    Raises:
        OutputError: the file cannot be written; no half-written file is left under its name.
        ValueError: the frames have another shape, or no frame is given.
    """
    made = as_uint8(frames)
    pixels, tags = _fit(made, min_side), dict(metadata or {})
    if pixels.shape[1] > made.shape[1]:
        tags[FRAME_SIZE] = f"{made.shape[2]}x{made.shape[1]}"
    with replacing(path) as temporary:
        try:
            _encode(pixels, temporary, fps, tags)
        except ValueError as error:  # PyAV's word for a missing encoder, too
            raise OutputError(f"cannot encode {path}: {error}", path=path) from error
    return Path(path)


def load_video(path: str | Path) -> npt.NDArray[np.uint8]:
    """Read a video file as uint8 of shape (frames, height, width, 3).

    Raises:
        FileNotFoundError: there is no such file; ValueError: it holds no video.
    """
    import av
    import numpy as np

    try:
        with av.open(str(path)) as container:
            frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    except (av.error.InvalidDataError, IndexError) as error:
        raise ValueError(f"{path} is not a video file that can be read") from error
    return np.stack(frames).astype(np.uint8, copy=False)


def as_uint8(frames: Any) -> npt.NDArray[np.uint8]:
    """Frames in any form that `save_video` takes, as uint8 of shape (frames, height, width, 3).

    Raises:
        ValueError: the frames have another shape, or no frame is given.
    """
    import numpy as np

    pixels = np.stack([_array(frame) for frame in frames]) if len(frames) else np.empty(0)
    if pixels.ndim != 4 or pixels.shape[-1] != 3:
        raise ValueError(
            f"frames of shape {pixels.shape}; a video is (frames, height, width, 3) with at least "
            "one frame"
        )
    if pixels.dtype == np.uint8:
        return pixels.astype(np.uint8, copy=False)
    return (np.nan_to_num(pixels).clip(0, 1) * 255).round().astype(np.uint8)


def _array(frame: Any) -> npt.NDArray[Any]:
    import numpy as np

    if hasattr(frame, "convert"):  # a PIL image
        return np.asarray(frame.convert("RGB"))
    if hasattr(frame, "detach"):  # a tensor; numpy has no bfloat16
        frame = frame.detach().cpu()
        return np.asarray(frame.float() if frame.is_floating_point() else frame)
    return np.asarray(frame)


def _fit(pixels: npt.NDArray[np.uint8], min_side: int) -> npt.NDArray[np.uint8]:
    """Enlarge tiny frames by an integer factor, and make height and width even."""
    shorter = min(pixels.shape[1:3])
    factor = max(1, -(-min_side // shorter))
    enlarged = pixels.repeat(factor, axis=1).repeat(factor, axis=2)
    height, width = (side - side % 2 for side in enlarged.shape[1:3])
    return enlarged[:, :height, :width]


def _encode(pixels: npt.NDArray[np.uint8], path: Path, fps: float, tags: dict[str, str]) -> None:
    import av

    flags = {"movflags": "+faststart+use_metadata_tags"}
    with av.open(str(path), "w", format="mp4", options=flags) as container:
        container.metadata.update(tags)
        rate = Fraction(fps).limit_denominator(1001)
        stream = container.add_stream("libx264", rate=rate, options={"crf": CRF})
        stream.height, stream.width = pixels.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for image in pixels:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
