"""Quality metrics that come with sraccel: PSNR and SSIM of decoded frames."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from sraccel.hookspecs import hookimpl
from sraccel.metric import Metric

if TYPE_CHECKING:
    import torch

PSNR_CAP = 100.0
"""Highest PSNR reported, in dB; identical videos have an infinite one, which JSON cannot hold."""
SSIM_SIGMA = 1.5
"""Width of SSIM's Gaussian window, in pixels (Wang et al. 2004: an 11 x 11 window)."""


def psnr_db(accelerated: torch.Tensor, bare: torch.Tensor) -> float:
    """Peak signal-to-noise ratio over the whole video, in dB; 100 stands for identical.

    Args:
        accelerated: float32 in [0, 1], shape (frames, channels, height, width).
        bare: the same of the bare run.

    Raises:
        ValueError: the videos have different shapes, or hold NaN or infinity.
    """
    from torchmetrics.functional.image import peak_signal_noise_ratio

    _check(accelerated, bare)
    return min(float(peak_signal_noise_ratio(accelerated, bare, data_range=1.0)), PSNR_CAP)


def ssim(accelerated: torch.Tensor, bare: torch.Tensor) -> float:
    """Structural similarity, mean over frames; 1 stands for identical.

    The window is the usual 11 x 11 Gaussian; frames smaller than that get a smaller window.

    Args:
        accelerated: float32 in [0, 1], shape (frames, channels, height, width).
        bare: the same of the bare run.

    Raises:
        ValueError: the videos have different shapes, hold NaN or infinity, or have fewer than
            three pixels a side.
    """
    from torchmetrics.functional.image import structural_similarity_index_measure

    _check(accelerated, bare)
    sigma = window_sigma(min(bare.shape[-2:]))
    value = structural_similarity_index_measure(accelerated, bare, sigma=sigma, data_range=1.0)
    if isinstance(value, tuple):  # only when an image is asked for
        value = value[0]
    return float(value)


def window_sigma(side: int) -> float:
    """The sigma whose Gaussian window fits into frames with this shorter side, in pixels.

    torchmetrics makes the window `2 * int(3.5 * sigma + 0.5) + 1` pixels wide.

    Raises:
        ValueError: fewer than three pixels.
    """
    if side < 3:
        raise ValueError(f"SSIM needs frames of at least 3 x 3 pixels, and these have {side}")
    return min(SSIM_SIGMA, (side - 1) // 2 / 3.5)


def _check(accelerated: torch.Tensor, bare: torch.Tensor) -> None:
    if accelerated.shape != bare.shape:
        raise ValueError(
            f"videos of different shapes: {tuple(accelerated.shape)} accelerated, "
            f"{tuple(bare.shape)} bare"
        )
    for name, video in (("accelerated", accelerated), ("bare", bare)):
        if not bool(video.isfinite().all()):
            raise ValueError(f"the {name} video holds NaN or infinity")


@hookimpl
def sraccel_metrics() -> Iterable[Metric]:
    """PSNR and SSIM."""
    return [Metric("psnr_db", psnr_db), Metric("ssim", ssim)]
