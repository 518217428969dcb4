"""Tiny HiDream-I1."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from diffusers import (
    FlowMatchEulerDiscreteScheduler,
    HiDreamImagePipeline,
    HiDreamImageTransformer2DModel,
)
from tiny_models import TEXT_DIM, assembled, frozen

from tiny.family import POOLED_DIM, BlockStack, TinyFamily, output_of
from tiny.sd3 import image_vae

LLAMA_DIM = 20
LLAMA_LAYERS = 5


def hidream_transformer(
    seed: int = 0, layers: int = 2, single_layers: int = 2, **config: Any
) -> HiDreamImageTransformer2DModel:
    """A random transformer; each of its blocks reads another layer of the Llama encoder."""
    settings: dict[str, Any] = {
        "patch_size": 2,
        "in_channels": 4,
        "out_channels": 4,
        "num_layers": layers,
        "num_single_layers": single_layers,
        "attention_head_dim": 16,
        "num_attention_heads": 2,
        "caption_channels": [TEXT_DIM, LLAMA_DIM],
        "text_emb_dim": POOLED_DIM,
        "axes_dims_rope": (8, 4, 4),
        "max_resolution": (16, 16),
        "llama_layers": list(range(LLAMA_LAYERS))[-layers - single_layers :],
        **config,
    }
    return frozen(HiDreamImageTransformer2DModel, seed, **settings)


def hidream_pipeline(**config: Any) -> HiDreamImagePipeline:
    """A pipeline with HiDream's scheduler and scale, for images of 16 x 16."""
    pipeline = assembled(
        HiDreamImagePipeline,
        transformer=hidream_transformer(**config),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=image_vae(scaling_factor=0.3611, shift_factor=0.1159),
    )
    pipeline.default_sample_size = 8  # it scales every size asked for to this area
    return pipeline


HIDREAM = TinyFamily(
    "hidream",
    "hidream",
    hidream_pipeline,
    partial(hidream_transformer, seed=7, layers=1, single_layers=2, num_attention_heads=1),
    {"height": 16, "width": 16},
    {
        "prompt_embeds_t5": (1, 6, TEXT_DIM),
        "prompt_embeds_llama3": (LLAMA_LAYERS, 1, 6, LLAMA_DIM),
        "pooled_prompt_embeds": (1, POOLED_DIM),
    },
    blocks=BlockStack(
        output_of("t_embedder"),
        ("double_stream_blocks", "single_stream_blocks"),
        parameters=("hidden_states", "hidden_states_masks", "encoder_hidden_states", "temb"),
        returns="he",
        tail="final_layer",
    ),
)
HIDREAM_WIDE = replace(HIDREAM, name="hidream-wide", size={"height": 8, "width": 32})
"""What is not square is padded to the model's greatest area."""
