"""LPIPS of two videos, frame by frame (Zhang et al. 2018, arXiv 1801.03924; AlexNet, v0.1)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from sraccel.plugin import Obstacle

if TYPE_CHECKING:
    import torch

    from sraccel_metrics.alexnet import PerceptualDistance

WEIGHTS = "SRACCEL_LPIPS_WEIGHTS"
"""The variable that names the file of AlexNet's weights."""
FILE = "alexnet-owt-7be5be79.pth"
URL = f"https://download.pytorch.org/models/{FILE}"
FRAMES = 8
"""Frames at a time, so that long videos need no more memory."""


def lpips(accelerated: torch.Tensor, bare: torch.Tensor) -> float:
    """The mean over the frames of LPIPS; 0 for the same video.

    Args:
        accelerated: float32 in [0, 1], shape (frames, 3, height, width).
        bare: the same of the bare run.

    Raises:
        FileNotFoundError: AlexNet's weights are not here; the message says where to put them.
        ValueError: the videos have different shapes, no three channels, NaN in them, frames too
            small for AlexNet, or the weights are of another model.
    """
    import torch

    check_videos(accelerated, bare)
    distance = loaded(weights_file())
    pairs = zip(accelerated.split(FRAMES), bare.split(FRAMES), strict=True)
    with torch.inference_mode():
        return float(torch.cat([distance(one, other) for one, other in pairs]).mean())


def check_videos(accelerated: torch.Tensor, bare: torch.Tensor) -> None:
    """Raise where LPIPS would be wrong or fail without a word."""
    from sraccel_metrics.alexnet import SMALLEST

    if accelerated.shape != bare.shape:
        raise ValueError(
            f"videos of different shapes: {tuple(accelerated.shape)} accelerated, "
            f"{tuple(bare.shape)} bare"
        )
    channels, *sides = bare.shape[1:]
    if channels != 3 or min(sides) < SMALLEST:
        raise ValueError(
            f"LPIPS needs frames of 3 channels and at least {SMALLEST} x {SMALLEST} pixels, and "
            f"these are of {channels} and {sides[0]} x {sides[1]}"
        )
    if not bool(accelerated.isfinite().all() and bare.isfinite().all()):
        raise ValueError("a video holds NaN or infinity")


def weights_file() -> Path:
    """Where AlexNet's weights are.

    Raises:
        FileNotFoundError: nowhere.
    """
    if lack := next(missing_weights(), None):
        raise FileNotFoundError(str(lack))
    return weights_path()


def missing_weights() -> Iterator[Obstacle]:
    """That AlexNet's weights are not here, and where they come from."""
    path = weights_path()
    if not path.is_file():
        yield Obstacle(
            f"{from_home(path)} is missing: LPIPS compares features of AlexNet, whose weights come "
            f"with no package",
            f"download {URL} (233 MB) to that place, or name the file by {WEIGHTS}",
        )


def weights_path() -> Path:
    """Where they are looked for: where the variable says, or as torch.hub, without torch."""
    if given := os.environ.get(WEIGHTS):
        return Path(given)
    caches = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache"))
    torch_home = Path(os.environ.get("TORCH_HOME", caches / "torch"))
    return torch_home.expanduser() / "hub/checkpoints" / FILE


def from_home(path: Path) -> str:
    """A path as its user writes it: reports are passed on."""
    home = Path.home()
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)


@cache
def loaded(path: Path) -> PerceptualDistance:
    """The network with the weights of a file, read once."""
    from sraccel_metrics.alexnet import PerceptualDistance

    return PerceptualDistance.load(path)
