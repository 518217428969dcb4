"""Tiny Qwen-Image, also with a ControlNet."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import torch
from diffusers import (
    AutoencoderKLQwenImage,
    FlowMatchEulerDiscreteScheduler,
    QwenImageControlNetModel,
    QwenImageControlNetPipeline,
    QwenImagePipeline,
    QwenImageTransformer2DModel,
)
from tiny_models import TEXT_DIM, assembled, frozen, tiny_vae
from torch import nn

from tiny.family import IMAGE, PROMPT, BlockStack, TinyFamily, argument_of


def qwen_image_settings(layers: int = 3, **config: Any) -> dict[str, Any]:
    """Settings of a small model, or of its ControlNet."""
    return {
        "in_channels": 16,  # 4 latent channels in patches of 2 x 2
        "out_channels": 4,
        "num_layers": layers,
        "attention_head_dim": 16,
        "num_attention_heads": 2,
        "joint_attention_dim": TEXT_DIM,
        "axes_dims_rope": (8, 4, 4),
        **config,
    }


def qwen_image_transformer(seed: int = 0, **config: Any) -> QwenImageTransformer2DModel:
    """A random transformer."""
    return frozen(QwenImageTransformer2DModel, seed, **qwen_image_settings(**config))


def qwen_image_pipeline(**config: Any) -> QwenImagePipeline:
    """A pipeline with Qwen-Image's scheduler."""
    scheduler = FlowMatchEulerDiscreteScheduler(
        use_dynamic_shifting=True, base_shift=0.5, max_shift=0.9, shift_terminal=0.02
    )
    return assembled(
        QwenImagePipeline,
        scheduler=scheduler,
        vae=tiny_vae(AutoencoderKLQwenImage),
        transformer=qwen_image_transformer(**config),
    )


def qwen_image_controlnet_pipeline(**config: Any) -> QwenImageControlNetPipeline:
    """A ControlNet adds after each block, the last one included."""
    controlnet = frozen(QwenImageControlNetModel, 5, **qwen_image_settings(layers=1, **config))
    for module in (*controlnet.controlnet_blocks, controlnet.controlnet_x_embedder):
        nn.init.normal_(module.weight, std=0.2)  # a new ControlNet adds nothing
    components = qwen_image_pipeline(**config).components
    return assembled(QwenImageControlNetPipeline, **components, controlnet=controlnet)


PADDED = torch.tensor([[1, 1, 1, 1, 1, 0]])
QWEN_IMAGE = TinyFamily(
    "qwen-image",
    "qwen-image",
    qwen_image_pipeline,
    partial(qwen_image_transformer, seed=7, layers=2, num_attention_heads=1),
    {
        "height": 16,
        "width": 16,
        "prompt_embeds_mask": PADDED,
        "negative_prompt_embeds_mask": PADDED,
    },
    PROMPT,
    calls_per_step=2,
    guidance="true_cfg_scale",
    blocks=BlockStack(
        argument_of("transformer_blocks.0.attn", "hidden_states"),
        parameters=(
            "hidden_states",
            "encoder_hidden_states",
            "encoder_hidden_states_mask",
            "temb",
        ),
        returns="eh",
        tail="norm_out",
    ),
)
QWEN_IMAGE_CONTROLNET = replace(
    QWEN_IMAGE,
    name="qwen-image-controlnet",
    pipeline=qwen_image_controlnet_pipeline,
    size={**QWEN_IMAGE.size, "control_image": IMAGE},
)
