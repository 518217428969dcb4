"""Tiny Cosmos 1.0 and Cosmos Predict2."""

from __future__ import annotations

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
from tiny_models import TEXT_DIM, tiny_vae
from torch import nn

from tiny.family import IMAGE, PROMPT, BlockStack, TinyFamily, frozen, output_of, quiet


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


def cosmos_components(scheduler: Any, vae: Any, **config: Any) -> dict[str, Any]:
    """What all pipelines of Cosmos are made of."""
    return {
        "text_encoder": None,
        "tokenizer": None,
        "transformer": cosmos_transformer(**config),
        "vae": vae,
        "scheduler": scheduler,
        "safety_checker": LetsEverythingPass(),
    }


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
    scheduler = EDMEulerScheduler(final_sigmas_type="sigma_min")
    return quiet(kind(**cosmos_components(scheduler, vae, version=1, **config)))


def cosmos2_pipeline(kind: Any = Cosmos2TextToImagePipeline, **config: Any) -> Any:
    """A pipeline of Cosmos Predict2, with its scheduler; the VAE is Wan's."""
    scheduler = FlowMatchEulerDiscreteScheduler(use_karras_sigmas=True)
    return quiet(kind(**cosmos_components(scheduler, tiny_vae(), version=2, **config)))


def without_learned_positions(model: nn.Module, seen: list[torch.Tensor]) -> object:
    """Collects the first block's norm of what the block is given, as TeaCache's own code takes it.

    The block itself adds the learned positions before it takes the norm.
    """

    def collect(block: Any, args: tuple[torch.Tensor, ...]) -> None:
        seen.append(block.norm1(args[0], args[2], args[3])[0])

    return model.get_submodule("transformer_blocks.0").register_forward_pre_hook(collect)


COSMOS_PARAMETERS = ("hidden_states", "encoder_hidden_states", "embedded_timestep", "temb")
COSMOS_BLOCKS = BlockStack(without_learned_positions, parameters=COSMOS_PARAMETERS)
COSMOS2_BLOCKS = BlockStack(
    output_of("transformer_blocks.0.norm1", 0), parameters=COSMOS_PARAMETERS
)
COSMOS_SIZE = {"height": 16, "width": 16, "num_frames": 5}
MASKED = {"in_channels": 5}  # 4 noisy, 1 that marks the given frames
SMALL = {"seed": 7, "layers": 2, "num_attention_heads": 1}
COSMOS = TinyFamily(
    "cosmos-t2w",
    "cosmos",
    cosmos_pipeline,
    partial(cosmos_transformer, 1, **SMALL),
    COSMOS_SIZE,
    PROMPT,
    calls_per_step=2,
    blocks=COSMOS_BLOCKS,
)
COSMOS_VIDEO_TO_WORLD = TinyFamily(
    "cosmos-v2w",
    "cosmos",
    partial(cosmos_pipeline, CosmosVideoToWorldPipeline, **MASKED),
    partial(cosmos_transformer, 1, **SMALL, **MASKED),
    {**COSMOS_SIZE, "image": IMAGE},
    PROMPT,
    calls_per_step=2,
    blocks=COSMOS_BLOCKS,
)
COSMOS2 = TinyFamily(
    "cosmos2-t2i",
    "cosmos2",
    cosmos2_pipeline,
    partial(cosmos_transformer, 2, **SMALL),
    {"height": 16, "width": 16},
    PROMPT,
    calls_per_step=2,
    blocks=COSMOS2_BLOCKS,
)
COSMOS2_VIDEO_TO_WORLD = TinyFamily(
    "cosmos2-v2w",
    "cosmos2",
    partial(cosmos2_pipeline, Cosmos2VideoToWorldPipeline, **MASKED),
    partial(cosmos_transformer, 2, **SMALL, **MASKED),
    {**COSMOS_SIZE, "image": IMAGE},
    PROMPT,
    calls_per_step=2,
    blocks=COSMOS2_BLOCKS,
)
