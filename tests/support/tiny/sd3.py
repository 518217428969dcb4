"""Tiny Stable Diffusion 3.5."""

from __future__ import annotations

from functools import partial
from typing import Any

from diffusers import (
    AutoencoderKL,
    FlowMatchEulerDiscreteScheduler,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
)
from tiny_models import TEXT_DIM, assembled, frozen

from tiny.family import POOLED, POOLED_DIM, BlockStack, TinyFamily, output_of


def sd3_transformer(seed: int = 0, layers: int = 3, **config: Any) -> SD3Transformer2DModel:
    """A random transformer."""
    head_dim, heads = config.get("attention_head_dim", 16), config.get("num_attention_heads", 2)
    settings: dict[str, Any] = {
        "sample_size": 8,
        "patch_size": 2,
        "in_channels": 4,
        "out_channels": 4,
        "num_layers": layers,
        "attention_head_dim": head_dim,
        "num_attention_heads": heads,
        "joint_attention_dim": TEXT_DIM,
        "caption_projection_dim": head_dim * heads,
        "pooled_projection_dim": POOLED_DIM,
        "pos_embed_max_size": 16,
        "qk_norm": "rms_norm",
        **config,
    }
    return frozen(SD3Transformer2DModel, seed, **settings)


def image_vae(**config: Any) -> AutoencoderKL:
    """A random VAE of images with 2x compression."""
    return frozen(
        AutoencoderKL,
        0,
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=(4, 4),
        latent_channels=4,
        norm_num_groups=2,
        **config,
    )


def sd3_pipeline(**config: Any) -> StableDiffusion3Pipeline:
    """A pipeline with the scheduler and the scale of SD3.5."""
    return assembled(
        StableDiffusion3Pipeline,
        transformer=sd3_transformer(**config),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=image_vae(scaling_factor=1.5305, shift_factor=0.0609),
    )


SD3 = TinyFamily(
    "sd3.5",
    "sd3",
    sd3_pipeline,
    partial(sd3_transformer, seed=7, layers=2, dual_attention_layers=(0,)),
    {"height": 16, "width": 16},
    POOLED,
    blocks=BlockStack(output_of("transformer_blocks.0.norm1", 0), returns="eh"),
)
