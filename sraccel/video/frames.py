"""Frames of a pipeline's output, whatever it returns them as."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def frames_of(output: Any) -> torch.Tensor | None:
    """The videos (or images, as videos of one frame) in a pipeline's output.

    Returns:
        float32 in [0, 1], of shape (batch, frames, channels, height, width), on the CPU; None if
        the output holds no pixels (latents, say).
    """
    frames = getattr(output, "frames", None)
    images = getattr(output, "images", None)
    if frames is None and images is None:
        frames = output[0] if isinstance(output, tuple) else output
    videos = _tensor(frames if frames is not None else images)
    if videos is None:
        return None
    if videos.ndim == 4:  # images: (batch, channels, height, width)
        videos = videos[:, None] if images is not None else videos[None]
    return videos if videos.ndim == 5 and videos.shape[2] in (1, 3, 4) else None


def _tensor(frames: Any) -> torch.Tensor | None:
    import numpy as np
    import torch

    if isinstance(frames, torch.Tensor):
        return frames.float().cpu()
    if isinstance(frames, np.ndarray):  # channels last
        return torch.from_numpy(frames).float().movedim(-1, -3)
    if isinstance(frames, list) and frames and isinstance(frames[0], list):
        return torch.stack([_pil_tensor(video) for video in frames])
    if isinstance(frames, list) and frames and hasattr(frames[0], "getbands"):
        return _pil_tensor(frames)
    if isinstance(frames, list) and frames and isinstance(frames[0], (torch.Tensor, np.ndarray)):
        parts = [_tensor(part) for part in frames]
        return torch.stack([part for part in parts if part is not None])
    return None


def _pil_tensor(images: list[Any]) -> torch.Tensor:
    import numpy as np
    import torch

    pixels = np.stack([np.asarray(image.convert("RGB")) for image in images])
    return torch.from_numpy(pixels).float().div(255).movedim(-1, -3)
