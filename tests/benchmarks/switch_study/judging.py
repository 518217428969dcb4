"""Latents to videos, and what the videos are worth."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from sraccel.demo.fidelity import fidelity
from sraccel.demo.score import score_video
from sraccel.demo.shapes import Clip

METRICS = ("score", "iou", "path", "psnr_ideal", "psnr_bare")
CHUNK = 8
Curve = dict[str, list[float]]
"""`steps`: the switch steps, and by metric a value for each."""


@torch.no_grad()
def decode(pipe: Any, latents: torch.Tensor) -> Clip:
    """Clips (rows, frames, height, width, 3) in [0, 1], as `WanPipeline` decodes them."""
    config, shape = pipe.vae.config, (1, -1, 1, 1, 1)
    mean = latents.new_tensor(config.latents_mean).view(shape)
    scale = 1.0 / latents.new_tensor(config.latents_std).view(shape)
    clips = [pipe.vae.decode(rows / scale + mean).sample for rows in latents.split(CHUNK)]
    pixels: Clip = (torch.cat(clips) / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 4, 1).numpy()
    return pixels


def judged(clip: Clip, caption: str, bare: Clip) -> dict[str, float]:
    """A clip's metrics, of which `psnr_bare` is to the bare clip, at most 100 dB."""
    near = fidelity(clip, caption)
    error = float(np.square(clip - bare).mean())
    values = {
        "score": score_video(clip, caption).mean,
        "iou": near.iou,
        "path": near.path,
        "psnr_ideal": near.psnr_db,
        "psnr_bare": -10 * float(np.log10(max(error, 1e-10))),
    }
    return {name: round(value, 5) for name, value in values.items()}


def curves(
    pipe: Any, finished: dict[int, torch.Tensor], captions: list[str], bare: Clip
) -> list[Curve]:
    """What the prompts' videos are worth, over the switch step."""
    made: list[Curve] = [{"steps": [], **{name: [] for name in METRICS}} for _ in captions]
    for step, latents in sorted(finished.items()):
        clips = decode(pipe, latents)
        for curve, clip, caption, other in zip(made, clips, captions, bare, strict=True):
            curve["steps"].append(step)
            for name, value in judged(clip, caption, other).items():
                curve[name].append(value)
    return made
