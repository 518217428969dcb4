"""The metrics and scores that come with sraccel: PSNR, SSIM, two of the demo pair."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from sraccel.loop.hookspecs import hookimpl
from sraccel.video.metric import Metric
from sraccel.video.score import Score

if TYPE_CHECKING:
    import torch

    from sraccel.demo.captions import Description
    from sraccel.demo.shapes import Clip

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


def psnr_to_rmse(decibels: float) -> float:
    """The root mean square error of frames in [0, 1] that a PSNR stands for, in dB; 0 at the cap.

    Unlike decibels, what two accelerators lose can be added up.
    """
    return 0.0 if decibels >= PSNR_CAP else 10.0 ** (-decibels / 20)


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


def semantic(video: torch.Tensor, prompt: str) -> float | None:
    """Share of its caption's attributes that a video of the demo world shows, from 0 to 1.

    Args:
        video: float32 in [0, 1], shape (frames, channels, height, width).
        prompt: its caption.

    Returns:
        The mean over the attributes; None if the prompt is no caption of the demo world, or the
        frames are not of its size: then another model made them.

    Raises:
        ValueError: the video holds NaN or infinity.
    """
    from sraccel.demo.score import score_video

    found = _in_demo_world(video, prompt)
    return None if found is None else score_video(*found).mean


def figure_iou(video: torch.Tensor, prompt: str) -> float | None:
    """How well the figures of a video of the demo world cover their ideal masks, from 0 to 1.

    Arguments, what is returned elsewhere and what is raised are those of `semantic`; this one is
    continuous: it sees a ragged edge, a figure drawn twice or off its path.
    """
    from sraccel.demo.fidelity import fidelity

    found = _in_demo_world(video, prompt)
    return None if found is None else fidelity(*found).iou


def _in_demo_world(video: torch.Tensor, prompt: str) -> tuple[Clip, Description] | None:
    """The clip and what its caption says, if both can be of the demo world."""
    from sraccel.demo.captions import parse_caption
    from sraccel.demo.shapes import SIZE

    if tuple(video.shape[1:]) != (3, SIZE, SIZE):
        return None
    try:
        wanted = parse_caption(prompt)
    except ValueError:
        return None
    _check_finite("judged", video)
    return video.permute(0, 2, 3, 1).cpu().numpy(), wanted


def _check(accelerated: torch.Tensor, bare: torch.Tensor) -> None:
    if accelerated.shape != bare.shape:
        raise ValueError(
            f"videos of different shapes: {tuple(accelerated.shape)} accelerated, "
            f"{tuple(bare.shape)} bare"
        )
    _check_finite("accelerated", accelerated)
    _check_finite("bare", bare)


def _check_finite(name: str, video: torch.Tensor) -> None:
    if not bool(video.isfinite().all()):
        raise ValueError(f"the {name} video holds NaN or infinity")


@hookimpl
def sraccel_metrics() -> Iterable[Metric | Score]:
    """PSNR and SSIM, and two scores of the demo pair's videos."""
    return [
        Metric("psnr_db", psnr_db, loss=psnr_to_rmse, limits=(-math.inf, PSNR_CAP)),
        Metric("ssim", ssim, limits=(-1.0, 1.0)),
        Score("semantic", semantic, limits=(0.0, 1.0)),
        Score("figure_iou", figure_iou, limits=(0.0, 1.0)),
    ]
