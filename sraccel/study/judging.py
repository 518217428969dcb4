"""The quality of one run of a study: beside the bare run of its block, and by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sraccel.catalogue import installed
from sraccel.quality import Quality, quality_of

if TYPE_CHECKING:
    import torch


def judge(frames: torch.Tensor, bare: torch.Tensor, prompt: str) -> Quality:
    """All metrics and scores of a video.

    Args:
        frames: float32 in [0, 1], of shape (frames, channels, height, width).
        bare: the same of the bare run with the same prompt and noise.
        prompt: what it is to show.
    """
    quality = quality_of(frames[None], bare[None])
    for name, score in installed().scores.items():
        try:
            value = score.judge(frames, prompt)
        except Exception as error:  # whosesoever it is: the run is done
            quality.lacks[name] = f"the score {name!r} raised {type(error).__name__}: {error}"
        else:
            if value is not None:
                quality.take(name, float(value))
    return quality
