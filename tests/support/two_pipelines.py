"""What tests of a hand-off between two pipelines have in common."""

from __future__ import annotations

from typing import Any

from diffusers import WanPipeline
from tiny_models import call_arguments, tiny_pipeline

from sraccel.report.model import Report

STEPS = 8
Pipes = tuple[WanPipeline, WanPipeline]


def pipeline(
    vae: Any, seed: int, *, scheduler: Any = None, layers: int = 2, **options: Any
) -> WanPipeline:
    """A Wan pipeline with a VAE of its own, and a random transformer for its latents."""
    channels = vae.config.z_dim
    tiny = tiny_pipeline(
        seed, scheduler, layers=layers, in_channels=channels, out_channels=channels
    )
    made = WanPipeline(**{**tiny.components, "vae": vae}, **options)
    made.set_progress_bar_config(disable=True)
    return made


def recipe(*others: dict[str, Any], **options: Any) -> list[dict[str, Any]]:
    """A recipe whose srdiffusion hands over through frames."""
    return [{"use": "srdiffusion", "handoff": "reencode", **options}, *others]


def call(steps: int = STEPS, **more: Any) -> dict[str, Any]:
    """Arguments of a call that both pipelines can take."""
    size = {"height": 32, "width": 64, "num_frames": 5, "output_type": "np"}
    return call_arguments(steps, **{**size, **more})


def roles(report: Report) -> str:
    """`s` for each step that was sketched, `r` for each that was rendered."""
    return "".join("r" if step.denoiser == "render" else "s" for step in report.steps)
