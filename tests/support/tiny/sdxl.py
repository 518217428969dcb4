"""Tiny SDXL."""

from __future__ import annotations

from functools import partial
from typing import Any

from diffusers import EulerDiscreteScheduler, StableDiffusionXLPipeline, UNet2DConditionModel
from tiny_models import TEXT_DIM, assembled, frozen

from tiny.family import POOLED, POOLED_DIM, TinyFamily
from tiny.sd3 import image_vae


def sdxl_unet(seed: int = 0, depth: int = 2, **config: Any) -> UNet2DConditionModel:
    """A random UNet with SDXL's conditioning."""
    settings: dict[str, Any] = {
        "sample_size": 8,
        "block_out_channels": (8, 16),
        "layers_per_block": 1,
        "norm_num_groups": 4,
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
        "attention_head_dim": (2, 4),
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 8,
        "transformer_layers_per_block": (1, depth),
        "projection_class_embeddings_input_dim": 6 * 8 + POOLED_DIM,
        "cross_attention_dim": TEXT_DIM,
        **config,
    }
    return frozen(UNet2DConditionModel, seed, **settings)


def sdxl_pipeline(**config: Any) -> StableDiffusionXLPipeline:
    """A pipeline with SDXL's scheduler and scale."""
    scheduler = EulerDiscreteScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        steps_offset=1,
        timestep_spacing="leading",
    )
    return assembled(
        StableDiffusionXLPipeline,
        vae=image_vae(scaling_factor=0.13025),
        unet=sdxl_unet(**config),
        scheduler=scheduler,
        add_watermarker=False,
    )


SDXL = TinyFamily(
    "sdxl",
    "sdxl",
    sdxl_pipeline,
    partial(sdxl_unet, seed=7, depth=1),
    {"height": 16, "width": 16},
    POOLED,
    attributes=("unet",),
)
