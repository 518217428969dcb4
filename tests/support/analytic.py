"""Denoisers that are optimal for known data, and a real diffusers pipeline around them.

The data are mixtures of two Gaussians around `+mean` and `-mean`; a branch's condition is its mean.
For such data the optimal prediction is a closed formula at every noise level.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from diffusers import AutoencoderKL, ConfigMixin, DiffusionPipeline, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import nn

from sraccel.noise.space import NoiseSpace, noise_space_of
from sraccel.plugin import Call, DenoiserAdapter

SHAPE = (2, 3, 4, 4)


class AnalyticDenoiser(ModelMixin, ConfigMixin):
    """Predicts optimally, in its own noise space, for latents `z` of its condition's mixture.

    Args:
        variance: of each component; scalar.
        components: 1 (a Gaussian around the mean) or 2 (a mixture around plus and minus the mean).
    """

    @register_to_config
    def __init__(self, variance: float = 0.5, components: int = 2) -> None:
        super().__init__()
        self.block = nn.Identity()
        self.space: NoiseSpace | None = None
        self.anchor = nn.Parameter(torch.zeros(1, dtype=torch.float64), requires_grad=False)
        self.timesteps: list[float] = []

    def forward(
        self, hidden_states: torch.Tensor, timestep: Any, encoder_hidden_states: torch.Tensor
    ) -> tuple[torch.Tensor]:
        assert self.space is not None
        x, mean = self.block(hidden_states), encoder_hidden_states
        self.timesteps.append(float(torch.as_tensor(timestep, dtype=torch.float64).flatten()[0]))
        a, b = self.space.schedule.levels(self.timesteps[-1])
        scale = self.space.latent_scale
        variance = self.config.variance * scale**2
        means = [mean * scale] if self.config.components == 1 else [mean * scale, -mean * scale]
        spread = a * a * variance + b * b
        weights = torch.softmax(
            torch.stack([-((x - a * m) ** 2) / (2 * spread) for m in means]), dim=0
        )
        clean = sum(
            weight * (m + a * variance / spread * (x - a * m))
            for weight, m in zip(weights, means, strict=True)
        )
        noise = (x - a * clean) / b if b > 0 else torch.zeros_like(x)
        of_clean, of_noise = self.space.predicted(a, b)
        return (of_clean * clean + of_noise * noise,)


class AnalyticAdapter(DenoiserAdapter):
    """The one block of an analytic denoiser does nothing."""

    family = "analytic"
    modulated_inputs = ("hidden",)

    def recognises(self, module: nn.Module) -> bool:
        return isinstance(module, AnalyticDenoiser)

    def blocks(self, module: Any) -> Sequence[nn.Module]:
        return [module.block]

    def modulated_input(self, call: Call, name: str) -> torch.Tensor:
        return call.block_input

    def interface(self, module: nn.Module) -> Mapping[str, object]:
        return {"in_channels": SHAPE[1], "out_channels": SHAPE[1]}


class AnalyticPipeline(DiffusionPipeline):
    """A sampling loop with any number of guidance branches, one call a branch or one in all."""

    def __init__(self, transformer: Any, vae: Any, scheduler: Any) -> None:
        super().__init__()
        self.register_modules(transformer=transformer, vae=vae, scheduler=scheduler)
        self.set_progress_bar_config(disable=True)
        transformer.space = noise_space_of(scheduler, vae.config)

    def __call__(
        self, steps: int, means: Sequence[torch.Tensor], weights: Sequence[float], batched: bool
    ) -> torch.Tensor:
        self.scheduler.set_timesteps(steps)
        noise = torch.randn(SHAPE, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        latents = noise * getattr(self.scheduler, "init_noise_sigma", 1.0)
        with self.progress_bar(total=steps) as bar:
            for t in self.scheduler.timesteps:
                scaled = latents
                if hasattr(self.scheduler, "scale_model_input"):
                    scaled = self.scheduler.scale_model_input(latents, t)
                predicted = self._predict(scaled, t, means, batched)
                guided = sum(w * p for w, p in zip(weights, predicted, strict=True))
                latents = self.scheduler.step(guided, t, latents, return_dict=False)[0]
                bar.update()
        return latents

    def _predict(
        self, x: torch.Tensor, t: torch.Tensor, means: Sequence[torch.Tensor], batched: bool
    ) -> Sequence[torch.Tensor]:
        if not batched:
            timestep = t.expand(len(x))
            return [self.transformer(x, timestep, encoder_hidden_states=m)[0] for m in means]
        count = len(means)
        together = torch.cat([x] * count)
        answer = self.transformer(
            hidden_states=together,
            timestep=t.expand(len(together)),
            encoder_hidden_states=torch.cat(list(means)),
        )[0]
        return answer.chunk(count)


def analytic_pipeline(scheduler: Any, scaling_factor: float, **config: Any) -> AnalyticPipeline:
    """A pipeline whose denoiser is optimal in the noise space of its scheduler and VAE."""
    vae = AutoencoderKL(
        block_out_channels=[4], norm_num_groups=1, latent_channels=3, scaling_factor=scaling_factor
    )
    return AnalyticPipeline(AnalyticDenoiser(**config).eval(), vae, scheduler)
