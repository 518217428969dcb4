"""How near two videos are, as a whole and by spatial frequency, and statistics over prompts.

Videos are float32 in [0, 1], of shape (frames, channels, height, width).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from sraccel.video.metrics import psnr_db, ssim

LAYOUT_CYCLES = 6.0
"""The low band: what has at most this many periods over a frame's shorter side."""


def compare_videos(ours: torch.Tensor, theirs: torch.Tensor) -> dict[str, float]:
    """PSNR, SSIM, the error of both bands and the low one's share, of one video to another."""
    return {
        "psnr_db": psnr_db(ours, theirs),
        "ssim": ssim(ours, theirs),
        **band_errors(ours, theirs),
        "low_share": low_share(ours, theirs),
    }


def bands(video: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """A video's low spatial frequencies (layout) and its high ones (detail); they add up to it.

    Frame by frame, by Fourier transform; the border is at `LAYOUT_CYCLES` periods over the shorter
    side. Video and bands have the shape (frames, channels, height, width).
    """
    height, width = video.shape[-2:]
    scale = min(height, width)
    spectrum = torch.fft.rfft2(video)
    vertical = torch.fft.fftfreq(height)[:, None] * scale
    horizontal = torch.fft.rfftfreq(width) * scale
    within = torch.hypot(vertical, horizontal) <= LAYOUT_CYCLES
    low = torch.fft.irfft2(spectrum * within, s=(height, width))
    return low, video - low


def contrasts(video: torch.Tensor) -> dict[str, float]:
    """Root mean square of each band; of the low one, around the frames' mean."""
    low, high = bands(video)
    low = low - low.mean(dim=(-2, -1), keepdim=True)
    return {"low": _rms(low), "high": _rms(high)}


def band_errors(ours: torch.Tensor, theirs: torch.Tensor) -> dict[str, float]:
    """Error of each band, relative to the other video's contrast in it.

    0 means equal; 1 is what frames without any contrast would have.
    """
    low, high = bands(ours - theirs)
    contrast = contrasts(theirs)
    return {
        "low_error": _rms(low) / max(contrast["low"], 1e-6),
        "high_error": _rms(high) / max(contrast["high"], 1e-6),
    }


def low_share(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """The low band's share of the squared error, in [0, 1]; 0 if there is no error."""
    low, high = (float(band.square().mean()) for band in bands(ours - theirs))
    return low / (low + high) if low + high > 0 else 0.0


def _rms(values: torch.Tensor) -> float:
    return float(values.square().mean().sqrt())


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Median, lower and upper quartile."""
    middle, low, high = np.quantile(values, [0.5, 0.25, 0.75])
    return float(middle), float(low), float(high)


def mean_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean and its 95% interval (normal approximation)."""
    mean = float(np.mean(values))
    half = 1.96 * float(np.std(values, ddof=1)) / len(values) ** 0.5 if len(values) > 1 else 0.0
    return mean, mean - half, mean + half
