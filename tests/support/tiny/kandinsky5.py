"""Tiny Kandinsky 5: text or image to video, text or image to image."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from types import MethodType
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderKLHunyuanVideo,
    Kandinsky5I2IPipeline,
    Kandinsky5I2VPipeline,
    Kandinsky5T2IPipeline,
    Kandinsky5T2VPipeline,
    Kandinsky5Transformer3DModel,
)
from tiny_models import TEXT_DIM, frozen
from torch import nn

from tiny.family import BlockStack, TinyFamily, argument_of
from tiny.unadapted.made import PHOTO, ROPE, SQUARE, VIDEO, family

LENGTHS = torch.tensor([0, 6], dtype=torch.int32)
LENGTHS_OF_TEXT = {"prompt_cu_seqlens": LENGTHS, "negative_prompt_cu_seqlens": LENGTHS}
CONFIG: dict[str, Any] = {
    "in_visual_dim": 4,
    "out_visual_dim": 4,
    "in_text_dim": TEXT_DIM,
    "in_text_dim2": 12,
    "time_dim": 16,
    "model_dim": 32,
    "ff_dim": 32,
    "num_text_blocks": 1,
    "num_visual_blocks": 3,
    "axes_dims": ROPE,
}
BLOCKS = BlockStack(
    argument_of("visual_transformer_blocks.0.self_attention", 0),
    lists=("visual_transformer_blocks",),
    parameters=("visual_embed", "text_embed", "time_embed"),
)


def kandinsky5_transformer(**config: Any) -> Kandinsky5Transformer3DModel:
    """A transformer whose times and modulations stay in float32, as `from_pretrained` has it."""
    model = Kandinsky5Transformer3DModel(**config)
    for name, module in model.named_modules():
        if name.rpartition(".")[2] in model._keep_in_fp32_modules:
            module._apply = MethodType(_stays, module)  # type: ignore[method-assign]
    return model


def _stays(module: nn.Module, fn: Any, recurse: bool = True) -> nn.Module:
    return module


def kandinsky5(
    kind: Any, size: dict[str, Any], visual_cond: bool = True, **more: Any
) -> TinyFamily:
    """A tiny pipeline of this class, whose model is or is not made to be given an image."""
    tiny = family(
        kind,
        kandinsky5_transformer,
        {**CONFIG, "visual_cond": visual_cond},
        smaller={"num_visual_blocks": 2},
        size={**size, **LENGTHS_OF_TEXT},
        text={"prompt_embeds_qwen": (1, 6, TEXT_DIM), "prompt_embeds_clip": (1, 12)},
        calls_per_step=2,
        **more,
    )
    return replace(tiny, family="kandinsky5", blocks=BLOCKS)


KANDINSKY5 = replace(kandinsky5(Kandinsky5T2VPipeline, VIDEO), name="kandinsky5")


def small(kind: Any) -> Any:
    """The pipeline's class, with one resolution that a test can afford."""
    one = property(lambda pipeline: [(64, 64)], lambda pipeline, given: None)
    return type(kind.__name__, (kind,), {"resolutions": one})


video_vae = partial(
    frozen,
    AutoencoderKLHunyuanVideo,
    0,
    latent_channels=4,
    block_out_channels=(8, 8, 8, 8),
    layers_per_block=1,
    norm_num_groups=4,
)
image_vae = partial(
    frozen,
    AutoencoderKL,
    0,
    latent_channels=4,
    block_out_channels=(8, 8, 8, 8),
    down_block_types=("DownEncoderBlock2D",) * 4,
    up_block_types=("UpDecoderBlock2D",) * 4,
    layers_per_block=1,
    norm_num_groups=4,
)
LONGER = {**VIDEO, "num_frames": 21}  # frames behind the fourth lend brightness to the first
KANDINSKY5_VARIANTS = [
    kandinsky5(Kandinsky5I2VPipeline, {**LONGER, "image": PHOTO}, parts={"vae": video_vae}),
    kandinsky5(small(Kandinsky5T2IPipeline), SQUARE, visual_cond=False),
    kandinsky5(small(Kandinsky5I2IPipeline), {**SQUARE, "image": PHOTO}, parts={"vae": image_vae}),
]
"""Its other pipelines, which call the model the same way."""
