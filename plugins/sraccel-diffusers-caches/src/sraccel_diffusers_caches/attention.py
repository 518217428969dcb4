"""Caches of attention: Pyramid Attention Broadcast and FasterCache of diffusers."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from sraccel.plugin import AcceleratorOptions, Denoiser
from sraccel_diffusers_caches.base import DiffusersCache

Timesteps = tuple[float, float]


class PyramidAttention(DiffusersCache):
    """Diffusers' Pyramid Attention Broadcast: reuse what attention gave a few steps ago."""

    name = "diffusers-pab"

    class Options(AcceleratorOptions):
        """Options of `PyramidAttentionBroadcastConfig`."""

        spatial: int | None = Field(2, ge=1, description="Self-attention: every n-th step.")
        temporal: int | None = Field(None, ge=1, description="Attention over time: the same.")
        cross: int | None = Field(None, ge=1, description="Attention to the text: the same.")
        timesteps: Timesteps = Field((100, 800), description="Reuse between these timesteps.")

        @model_validator(mode="after")
        def _has_one(self) -> Self:
            if self.spatial is None and self.temporal is None and self.cross is None:
                raise ValueError("one of spatial, temporal and cross must be a number")
            return self

    options: Options

    def config(self, denoiser: Denoiser) -> Any:
        from diffusers import PyramidAttentionBroadcastConfig

        given = self.options
        return PyramidAttentionBroadcastConfig(
            spatial_attention_block_skip_range=given.spatial,
            temporal_attention_block_skip_range=given.temporal,
            cross_attention_block_skip_range=given.cross,
            spatial_attention_timestep_skip_range=given.timesteps,
            temporal_attention_timestep_skip_range=given.timesteps,
            cross_attention_timestep_skip_range=given.timesteps,
            current_timestep_callback=lambda: self.timestep(denoiser),
        )


class FasterCache(DiffusersCache):
    """Diffusers' FasterCache: extrapolate attention, and the unconditional half of a batch."""

    name = "diffusers-fastercache"

    class Options(AcceleratorOptions):
        """Options of `FasterCacheConfig`."""

        every: int = Field(2, ge=1, description="Compute self-attention every n-th step.")
        timesteps: Timesteps = Field((-1, 681), description="Reuse between these timesteps.")
        weight: float = Field(0.5, description="Of the change that is extrapolated.")
        batched_guidance: bool = Field(
            False,
            description="The pipeline passes both guidance branches as one batch (CogVideoX): "
            "leave out the unconditional half, too.",
        )
        unconditional_every: int = Field(5, ge=1, description="Compute that half every n-th step.")
        unconditional_timesteps: Timesteps = Field(
            (-1, 641), description="Leave that half out between these timesteps."
        )
        format: Literal["BCFHW", "BFCHW", "BCHW"] = Field(
            "BCFHW", description="Order of the latents' axes."
        )

    options: Options

    def config(self, denoiser: Denoiser) -> Any:
        from diffusers import FasterCacheConfig

        given = self.options
        return FasterCacheConfig(
            spatial_attention_block_skip_range=given.every,
            spatial_attention_timestep_skip_range=given.timesteps,
            unconditional_batch_skip_range=given.unconditional_every,
            unconditional_batch_timestep_skip_range=given.unconditional_timesteps,
            attention_weight_callback=lambda _: given.weight,
            tensor_format=given.format,
            is_guidance_distilled=not given.batched_guidance,
            current_timestep_callback=lambda: self.timestep(denoiser),
        )
