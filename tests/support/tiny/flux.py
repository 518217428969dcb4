"""Tiny Flux.1: dev, with true guidance, with a ControlNet, and Kontext."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from diffusers import (
    FlowMatchEulerDiscreteScheduler,
    FluxControlNetModel,
    FluxControlNetPipeline,
    FluxKontextPipeline,
    FluxPipeline,
    FluxTransformer2DModel,
)
from tiny_models import TEXT_DIM, assembled, frozen
from torch import nn

from tiny.family import IMAGE, POOLED, POOLED_DIM, BlockStack, TinyFamily, output_of
from tiny.sd3 import image_vae


def flux_settings(layers: int = 2, **config: Any) -> dict[str, Any]:
    """Settings of a small model, or of its ControlNet."""
    head_dim = config.get("attention_head_dim", 16)
    return {
        "in_channels": 16,
        "num_layers": layers,
        "num_single_layers": layers,
        "attention_head_dim": head_dim,
        "num_attention_heads": 2,
        "joint_attention_dim": TEXT_DIM,
        "pooled_projection_dim": POOLED_DIM,
        "guidance_embeds": True,
        "axes_dims_rope": (head_dim // 4, head_dim * 3 // 8, head_dim * 3 // 8),
        **config,
    }


def flux_transformer(seed: int = 0, **config: Any) -> FluxTransformer2DModel:
    """A random transformer."""
    return frozen(FluxTransformer2DModel, seed, **flux_settings(**config))


def flux_pipeline(**config: Any) -> FluxPipeline:
    """A pipeline with the scheduler and the scale of Flux.1 dev."""
    return assembled(
        FluxPipeline,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True),
        vae=image_vae(scaling_factor=0.3611, shift_factor=0.1159),
        transformer=flux_transformer(**config),
    )


def flux_controlnet_pipeline(**config: Any) -> FluxControlNetPipeline:
    """A ControlNet adds after blocks of both kinds, the very last one included."""
    controlnet = frozen(FluxControlNetModel, 5, **flux_settings(layers=1, **config))
    for module in (
        *controlnet.controlnet_blocks,
        *controlnet.controlnet_single_blocks,
        controlnet.controlnet_x_embedder,
    ):
        nn.init.normal_(module.weight, std=0.2)  # a new ControlNet adds nothing
    components = flux_pipeline(**config).components
    return assembled(FluxControlNetPipeline, **components, controlnet=controlnet)


def flux_kontext_pipeline(**config: Any) -> FluxKontextPipeline:
    """The tokens of a given image go along behind the noisy ones."""
    return assembled(FluxKontextPipeline, **flux_pipeline(**config).components)


FLUX = TinyFamily(
    "flux-dev",
    "flux",
    flux_pipeline,
    partial(flux_transformer, seed=7, layers=1),
    {"height": 16, "width": 16},
    POOLED,
    blocks=BlockStack(
        output_of("transformer_blocks.0.norm1", 0),
        lists=("transformer_blocks", "single_transformer_blocks"),
        returns="eh",
        tail="norm_out",
    ),
)
FLUX_TRUE_GUIDANCE = replace(
    FLUX, name="flux-true-guidance", calls_per_step=2, guidance="true_cfg_scale"
)
FLUX_CONTROLNET = replace(
    FLUX_TRUE_GUIDANCE,
    name="flux-controlnet",
    pipeline=flux_controlnet_pipeline,
    size={**FLUX.size, "control_image": IMAGE},
)
FLUX_KONTEXT = replace(
    FLUX,
    name="flux-kontext",
    pipeline=flux_kontext_pipeline,
    size={**FLUX.size, "image": IMAGE, "max_area": 16 * 16, "_auto_resize": False},
)
