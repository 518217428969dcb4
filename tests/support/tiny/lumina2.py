"""Tiny Lumina Image 2.0."""

from __future__ import annotations

from functools import partial
from typing import Any

from diffusers import FlowMatchEulerDiscreteScheduler, Lumina2Pipeline, Lumina2Transformer2DModel
from tiny_models import TEXT_DIM, assembled, frozen

from tiny.family import PROMPT, BlockStack, TinyFamily, output_of
from tiny.sd3 import image_vae


def lumina2_transformer(
    seed: int = 0, layers: int = 3, heads: int = 2, **config: Any
) -> Lumina2Transformer2DModel:
    """A random transformer."""
    settings: dict[str, Any] = {
        "sample_size": 8,
        "in_channels": 4,
        "hidden_size": heads * 16,
        "num_layers": layers,
        "num_refiner_layers": 1,
        "num_attention_heads": heads,
        "num_kv_heads": 1,
        "multiple_of": 16,
        "axes_dim_rope": (4, 6, 6),
        "axes_lens": (32, 32, 32),
        "cap_feat_dim": TEXT_DIM,
        **config,
    }
    return frozen(Lumina2Transformer2DModel, seed, **settings)


def lumina2_pipeline(**config: Any) -> Lumina2Pipeline:
    """A pipeline with Lumina's scheduler and scale; it takes every VAE for one of 8x."""
    return assembled(
        Lumina2Pipeline,
        transformer=lumina2_transformer(**config),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=6.0),
        vae=image_vae(scaling_factor=0.3611, shift_factor=0.1159),
    )


LUMINA2 = TinyFamily(
    "lumina2",
    "lumina2",
    lumina2_pipeline,
    partial(lumina2_transformer, seed=7, layers=2, heads=1),
    {"height": 64, "width": 64},
    PROMPT,
    calls_per_step=2,
    masked=True,
    blocks=BlockStack(
        output_of("layers.0.norm1", 0),
        ("layers",),
        parameters=("hidden_states", "attention_mask", "image_rotary_emb", "temb"),
    ),
)
