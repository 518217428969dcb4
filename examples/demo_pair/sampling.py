"""Denoising by hand: in batches, with switches at several steps of one sketch run.

Also at chosen steps of the schedule alone: the rival that a cache has to beat.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from diffusers import UniPCMultistepScheduler, WanPipeline, WanTransformer3DModel

from sraccel.demo.pair import DEMO_GUIDANCE_SCALE
from sraccel.demo.shapes import NUM_FRAMES, SIZE

Forward = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""(latents, timestep, prompt embeddings) -> prediction."""


@dataclass
class Pair:
    """The sketch pipeline and the render denoiser."""

    pipeline: WanPipeline
    render: WanTransformer3DModel

    @property
    def sketch(self) -> WanTransformer3DModel:
        """The large denoiser."""
        return self.pipeline.transformer


def load_pair(folder: Path, device: torch.device | str = "cpu") -> Pair:
    """Load the exported pair."""
    pipeline = WanPipeline.from_pretrained(folder).to(device)
    pipeline.set_progress_bar_config(disable=True)
    render = WanTransformer3DModel.from_pretrained(folder, subfolder="render").to(device)
    return Pair(pipeline, render)


def initial_latents(pipeline: WanPipeline, seeds: Iterable[int]) -> torch.Tensor:
    """Noise of shape (seeds, channels, frames, 8, 8); each row depends on its seed only."""
    side = SIZE // pipeline.vae_scale_factor_spatial
    shape = (pipeline.transformer.config.in_channels, NUM_FRAMES, side, side)
    rows = [torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    return torch.stack(rows).to(pipeline.device)


def embed(pipeline: WanPipeline, captions: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return prompt embeddings and those of the empty prompt, each (batch, 24, 64)."""
    with torch.no_grad():
        embeds: tuple[torch.Tensor, torch.Tensor] = pipeline.encode_prompt(
            list(captions), max_sequence_length=pipeline.tokenizer.model_max_length
        )
    return embeds


class Denoising:
    """One run of the loop over a batch; can be copied in the middle."""

    def __init__(
        self,
        scheduler: UniPCMultistepScheduler,
        latents: torch.Tensor,
        embeds: tuple[torch.Tensor, torch.Tensor],
        num_inference_steps: int,
        kept: Sequence[int] = (),
    ) -> None:
        """Start at pure noise; ``kept`` are the only steps of the schedule to take."""
        self.scheduler = copy.deepcopy(scheduler)
        self.scheduler.set_timesteps(num_inference_steps, device=latents.device)
        if kept:
            keep_steps(self.scheduler, kept)
        self.latents, self.embeds, self.step_index = latents, embeds, 0

    def fork(self) -> Denoising:
        """Copy the run as it stands."""
        return copy.deepcopy(self)

    def advance(self, forward: Forward, until: int | None = None) -> Denoising:
        """Take steps up to step ``until`` (not included), or all that are left."""
        until = len(self.scheduler.timesteps) if until is None else until
        for timestep in self.scheduler.timesteps[self.step_index : until]:
            expanded = timestep.expand(len(self.latents))
            cond = forward(self.latents, expanded, self.embeds[0])
            uncond = forward(self.latents, expanded, self.embeds[1])
            noise_pred = uncond + DEMO_GUIDANCE_SCALE * (cond - uncond)
            self.latents = self.scheduler.step(
                noise_pred, timestep, self.latents, return_dict=False
            )[0]
        self.step_index = max(until, self.step_index)
        return self


def keep_steps(scheduler: UniPCMultistepScheduler, kept: Sequence[int]) -> None:
    """Leave only some steps in a schedule that has not begun; each leads to the next one kept."""
    scheduler.timesteps = scheduler.timesteps[[*kept]]
    scheduler.sigmas = scheduler.sigmas[[*kept, -1]]
    scheduler.num_inference_steps = len(kept)


def forward_of(model: WanTransformer3DModel) -> Forward:
    """A denoiser's prediction, computed without gradients."""

    @torch.no_grad()
    def forward(
        latents: torch.Tensor, timestep: torch.Tensor, embeds: torch.Tensor
    ) -> torch.Tensor:
        noise_pred: torch.Tensor = model(latents, timestep, embeds, return_dict=False)[0]
        return noise_pred

    return forward


@torch.no_grad()
def decode(pipeline: WanPipeline, latents: torch.Tensor) -> npt.NDArray[np.float32]:
    """Return clips (batch, frames, height, width, 3) in [0, 1]."""
    config = pipeline.vae.config
    shape = (1, -1, 1, 1, 1)
    mean = latents.new_tensor(config.latents_mean).view(shape)
    std = latents.new_tensor(config.latents_std).view(shape)
    clips = pipeline.vae.decode(latents * std + mean).sample
    pixels = ((clips + 1) / 2).clamp(0, 1)
    return pixels.permute(0, 2, 3, 4, 1).cpu().numpy()
