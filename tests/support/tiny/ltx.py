"""Tiny LTX-Video."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from diffusers import (
    AutoencoderKLLTXVideo,
    FlowMatchEulerDiscreteScheduler,
    LTXImageToVideoPipeline,
    LTXPipeline,
    LTXVideoTransformer3DModel,
)
from tiny_models import TEXT_DIM, assembled, frozen

from tiny.family import IMAGE, PROMPT, BlockStack, TinyFamily, argument_of


def ltx_transformer(seed: int = 0, layers: int = 3, **config: Any) -> LTXVideoTransformer3DModel:
    """A random transformer."""
    head_dim, heads = config.get("attention_head_dim", 16), config.get("num_attention_heads", 2)
    settings: dict[str, Any] = {
        "in_channels": 8,
        "out_channels": 8,
        "num_attention_heads": heads,
        "attention_head_dim": head_dim,
        "cross_attention_dim": head_dim * heads,
        "num_layers": layers,
        "caption_channels": TEXT_DIM,
        **config,
    }
    return frozen(LTXVideoTransformer3DModel, seed, **settings)


def ltx_scheduler() -> FlowMatchEulerDiscreteScheduler:
    """The scheduler of LTX-Video 0.9, and of LTX-2."""
    return FlowMatchEulerDiscreteScheduler(
        use_dynamic_shifting=True,
        base_shift=0.95,
        max_shift=2.05,
        base_image_seq_len=1024,
        max_image_seq_len=4096,
        shift_terminal=0.1,
    )


def ltx_pipeline(**config: Any) -> LTXPipeline:
    """A pipeline with the scheduler of LTX-Video 0.9."""
    vae = frozen(
        AutoencoderKLLTXVideo,
        0,
        latent_channels=8,
        block_out_channels=(8, 8, 8, 8),
        decoder_block_out_channels=(8, 8, 8, 8),
        layers_per_block=(1, 1, 1, 1, 1),
        decoder_layers_per_block=(1, 1, 1, 1, 1),
        spatio_temporal_scaling=(True, True, False, False),
        decoder_spatio_temporal_scaling=(True, True, False, False),
        patch_size=2,
    )
    transformer = ltx_transformer(**config)
    return assembled(LTXPipeline, scheduler=ltx_scheduler(), vae=vae, transformer=transformer)


def ltx_image_pipeline(**config: Any) -> LTXImageToVideoPipeline:
    """Image to video: each token has a timestep of its own."""
    return assembled(LTXImageToVideoPipeline, **ltx_pipeline(**config).components)


LTX = TinyFamily(
    "ltx",
    "ltx",
    ltx_pipeline,
    partial(ltx_transformer, seed=7, layers=2),
    {"height": 32, "width": 32, "num_frames": 9},
    PROMPT,
    masked=True,
    blocks=BlockStack(argument_of("transformer_blocks.0.attn1", "hidden_states"), tail="proj_out"),
)
LTX_IMAGE_TO_VIDEO = replace(
    LTX, name="ltx-i2v", pipeline=ltx_image_pipeline, size={**LTX.size, "image": IMAGE}
)
