"""Tiny Mochi 1."""

from __future__ import annotations

from functools import partial
from typing import Any

from diffusers import (
    AutoencoderKLMochi,
    FlowMatchEulerDiscreteScheduler,
    MochiPipeline,
    MochiTransformer3DModel,
)
from tiny_models import TEXT_DIM, assembled, frozen

from tiny.family import PROMPT, BlockStack, TinyFamily, output_of


def mochi_transformer(seed: int = 0, layers: int = 3, **config: Any) -> MochiTransformer3DModel:
    """A random transformer."""
    settings: dict[str, Any] = {
        "num_attention_heads": 2,
        "attention_head_dim": 16,
        "num_layers": layers,
        "pooled_projection_dim": 24,
        "in_channels": 12,
        "text_embed_dim": TEXT_DIM,
        "time_embed_dim": 8,
        "max_sequence_length": 6,
        **config,
    }
    return frozen(MochiTransformer3DModel, seed, **settings)


def mochi_pipeline(**config: Any) -> MochiPipeline:
    """A pipeline with Mochi's scheduler, whose timesteps rise."""
    channels = (32, 32, 32, 32)  # in groups of 32
    vae = frozen(
        AutoencoderKLMochi,
        0,
        encoder_block_out_channels=channels,
        decoder_block_out_channels=channels,
        layers_per_block=(1, 1, 1, 1, 1),
    )
    return assembled(
        MochiPipeline,
        scheduler=FlowMatchEulerDiscreteScheduler(invert_sigmas=True),
        vae=vae,
        transformer=mochi_transformer(**config),
    )


MOCHI = TinyFamily(
    "mochi",
    "mochi",
    mochi_pipeline,
    partial(mochi_transformer, seed=7, layers=2),
    {"height": 32, "width": 32, "num_frames": 7},
    PROMPT,
    masked=True,
    blocks=BlockStack(output_of("transformer_blocks.0.norm1", 0), returns="he", tail="proj_out"),
)
