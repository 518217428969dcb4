"""Tiny Cosmos 1.0 and Cosmos Predict2."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import torch
from diffusers import (
    AutoencoderKLCosmos,
    Cosmos2TextToImagePipeline,
    Cosmos2VideoToWorldPipeline,
    CosmosTextToWorldPipeline,
    CosmosTransformer3DModel,
    CosmosVideoToWorldPipeline,
    EDMEulerScheduler,
    FlowMatchEulerDiscreteScheduler,
)
from tiny_models import TEXT_DIM, assembled, frozen, tiny_vae
from torch import nn

from tiny.family import IMAGE, PROMPT, BlockStack, TinyFamily, output_of


class LetsEverythingPass:
    """In the place of NVIDIA's guardrail, a package apart with models of gigabytes.

    The pipelines refuse to run without one. It sees prompts and decoded videos only, so it takes no
    part in what is tested.
    """

    def to(self, device: Any) -> LetsEverythingPass:
        return self

    def check_text_safety(self, prompt: str) -> bool:
        return True

    def check_video_safety(self, frames: Any) -> Any:
        return frames


def cosmos_transformer(
    version: int = 1, seed: int = 0, layers: int = 3, **config: Any
) -> CosmosTransformer3DModel:
    """A random transformer; its learned positions are not zero, so that they tell."""
    settings: dict[str, Any] = {
        "in_channels": 4,
        "out_channels": 4,
        "num_attention_heads": 2,
        "attention_head_dim": 16,
        "num_layers": layers,
        "mlp_ratio": 2,
        "text_embed_dim": TEXT_DIM,
        "adaln_lora_dim": 4,
        "max_size": (4, 16, 16),
        "concat_padding_mask": False,  # the published ones concatenate it, which needs torchvision
        "extra_pos_embed_type": "learnable" if version == 1 else None,
        **config,
    }
    model = frozen(CosmosTransformer3DModel, seed, **settings)
    if model.learnable_pos_embed is not None:
        for positions in model.learnable_pos_embed.parameters():
            nn.init.normal_(positions)
    return model


def cosmos_pipeline(kind: Any = CosmosTextToWorldPipeline, **config: Any) -> Any:
    """A pipeline of Cosmos 1.0, with its scheduler."""
    vae = frozen(
        AutoencoderKLCosmos,
        0,
        latent_channels=4,
        encoder_block_out_channels=(8, 8, 8, 8),
        decode_block_out_channels=(8, 8, 8, 8),
        attention_resolutions=(8,),
        resolution=64,
        num_layers=1,
        spatial_compression_ratio=4,
        temporal_compression_ratio=4,
        latents_mean=None,
        latents_std=None,
    )
    return assembled(
        kind,
        transformer=cosmos_transformer(1, **config),
        vae=vae,
        scheduler=EDMEulerScheduler(final_sigmas_type="sigma_min"),
        safety_checker=LetsEverythingPass(),
    )


def cosmos2_pipeline(kind: Any = Cosmos2TextToImagePipeline, **config: Any) -> Any:
    """A pipeline of Cosmos Predict2, with its scheduler; the VAE is Wan's."""
    return assembled(
        kind,
        transformer=cosmos_transformer(2, **config),
        vae=tiny_vae(),
        scheduler=FlowMatchEulerDiscreteScheduler(use_karras_sigmas=True),
        safety_checker=LetsEverythingPass(),
    )


def without_learned_positions(model: nn.Module, seen: list[torch.Tensor]) -> object:
    """Collects the first block's norm of what the block is given, as TeaCache's own code takes it.

    The block itself adds the learned positions before it takes the norm.
    """

    def collect(block: Any, args: tuple[torch.Tensor, ...]) -> None:
        seen.append(block.norm1(args[0], args[2], args[3])[0])

    return model.get_submodule("transformer_blocks.0").register_forward_pre_hook(collect)


MASKED = {"in_channels": 5}  # 4 noisy, 1 that marks the given frames
SMALL = {"seed": 7, "layers": 2, "num_attention_heads": 1}
COSMOS = TinyFamily(
    "cosmos-t2w",
    "cosmos",
    cosmos_pipeline,
    partial(cosmos_transformer, 1, **SMALL),
    {"height": 16, "width": 16, "num_frames": 5},
    PROMPT,
    calls_per_step=2,
    blocks=BlockStack(
        without_learned_positions,
        parameters=("hidden_states", "encoder_hidden_states", "embedded_timestep", "temb"),
    ),
)
COSMOS_VIDEO_TO_WORLD = replace(
    COSMOS,
    name="cosmos-v2w",
    pipeline=partial(cosmos_pipeline, CosmosVideoToWorldPipeline, **MASKED),
    render=partial(cosmos_transformer, 1, **SMALL, **MASKED),
    size={**COSMOS.size, "image": IMAGE},
)
COSMOS2 = replace(
    COSMOS,
    name="cosmos2-t2i",
    family="cosmos2",
    pipeline=cosmos2_pipeline,
    render=partial(cosmos_transformer, 2, **SMALL),
    size={"height": 16, "width": 16},
    blocks=replace(COSMOS.blocks, modulated=output_of("transformer_blocks.0.norm1", 0)),
)
COSMOS2_VIDEO_TO_WORLD = replace(
    COSMOS2,
    name="cosmos2-v2w",
    pipeline=partial(cosmos2_pipeline, Cosmos2VideoToWorldPipeline, **MASKED),
    render=partial(cosmos_transformer, 2, **SMALL, **MASKED),
    size=COSMOS_VIDEO_TO_WORLD.size,
)
