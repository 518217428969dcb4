"""Every pair of models in miniature: its pipeline, its render model, the arguments of a call."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from PIL import Image
from tiny_models import TEXT_DIM, tiny_pipeline, tiny_transformer
from tiny_pipelines import (
    COGVIDEOX_1_5_IMAGE,
    POOLED_DIM,
    cogvideox_image_pipeline,
    cogvideox_pipeline,
    cogvideox_transformer,
    ltx_image_pipeline,
    ltx_pipeline,
    ltx_transformer,
    sd3_pipeline,
    sd3_transformer,
    sdxl_pipeline,
    sdxl_unet,
    wan_2_2_pipeline,
    wan_image_pipeline,
    wan_image_transformer,
)
from torch import nn

STEPS = 6
HALF = STEPS // 2
WAN_IMAGE_TEXT_LENGTH = 512  # Wan's attention finds the image tokens by this length


@dataclass(frozen=True)
class TinyFamily:
    """What the tests of one pair need.

    Attributes:
        name: of the pair.
        family: the adapter's name for it.
        pipeline: makes a pipeline with the same weights each time; takes settings of its model.
        render: makes the small model; takes settings of it.
        size: arguments that set the output's size, and others that never change.
        text: shapes of the prompt embeddings, by the name of the argument.
        calls_per_step: denoiser calls of a guided step.
        attributes: of the pipeline, for its denoisers.
        masked: whether the prompt comes with a mask.
    """

    name: str
    family: str
    pipeline: Callable[..., Any]
    render: Callable[..., nn.Module]
    size: dict[str, Any]
    text: dict[str, tuple[int, ...]]
    calls_per_step: int = 1
    attributes: tuple[str, ...] = ("transformer",)
    masked: bool = False

    def __str__(self) -> str:
        return self.name

    def arguments(
        self,
        steps: int = STEPS,
        *,
        seed: int = 0,
        guidance: float = 4.0,
        dtype: torch.dtype = torch.float32,
        **more: Any,
    ) -> dict[str, Any]:
        """Arguments of a call; a new generator each time."""
        conditions = torch.Generator().manual_seed(1234)
        embeddings = {
            name: torch.randn(shape, generator=conditions).to(dtype)
            for (key, shape), sign in itertools.product(self.text.items(), ("", "negative_"))
            for name in [sign + key]
        }
        if self.masked:
            mask = torch.ones(1, self.text["prompt_embeds"][1], dtype=torch.bool)
            embeddings |= {"prompt_attention_mask": mask, "negative_prompt_attention_mask": mask}
        return {
            **embeddings,
            **self.size,
            "num_inference_steps": steps,
            "guidance_scale": guidance,
            "generator": torch.Generator().manual_seed(seed),
            "output_type": "latent",
            **more,
        }

    def generate(self, pipeline: Any, steps: int = STEPS, **more: Any) -> torch.Tensor:
        """The latents of a run."""
        latents: torch.Tensor = pipeline(**self.arguments(steps, **more))[0]
        return latents

    def denoisers(self, pipeline: Any) -> list[nn.Module]:
        """The pipeline's own denoisers."""
        return [getattr(pipeline, attribute) for attribute in self.attributes]


IMAGE = Image.new("RGB", (16, 16), (200, 90, 30))
WAN_SIZE = {"height": 16, "width": 16, "num_frames": 5}
PROMPT = {"prompt_embeds": (1, 6, TEXT_DIM)}
POOLED = {**PROMPT, "pooled_prompt_embeds": (1, POOLED_DIM)}

WAN = TinyFamily(
    "wan-t2v",
    "wan",
    tiny_pipeline,
    partial(tiny_transformer, seed=7, layers=2, num_attention_heads=1),
    WAN_SIZE,
    PROMPT,
    calls_per_step=2,
)
WAN_IMAGE_TO_VIDEO = TinyFamily(
    "wan-i2v",
    "wan",
    wan_image_pipeline,
    partial(wan_image_transformer, seed=7, layers=2),
    {**WAN_SIZE, "image": IMAGE},
    {"prompt_embeds": (1, WAN_IMAGE_TEXT_LENGTH, TEXT_DIM)},
    calls_per_step=2,
)
WAN_2_2 = TinyFamily(
    "wan-2.2-a14b",
    "wan",
    wan_2_2_pipeline,
    partial(tiny_transformer, seed=7, layers=2),
    WAN_SIZE,
    PROMPT,
    calls_per_step=2,
    attributes=("transformer", "transformer_2"),
)
COGVIDEOX_SIZE = {"height": 64, "width": 64, "num_frames": 9}
COGVIDEOX_DDIM = TinyFamily(
    "cogvideox-ddim",
    "cogvideox",
    cogvideox_pipeline,
    partial(cogvideox_transformer, seed=7, layers=2, num_attention_heads=1),
    COGVIDEOX_SIZE,
    PROMPT,
)
COGVIDEOX_DPM = TinyFamily(
    "cogvideox-dpm",
    "cogvideox",
    partial(cogvideox_pipeline, scheduler="dpm"),
    partial(cogvideox_transformer, seed=7, layers=2),
    COGVIDEOX_SIZE,
    PROMPT,
)
COGVIDEOX_IMAGE_TO_VIDEO = TinyFamily(
    "cogvideox-1.5-i2v",
    "cogvideox",
    cogvideox_image_pipeline,
    partial(cogvideox_transformer, seed=7, layers=2, **COGVIDEOX_1_5_IMAGE),
    {**COGVIDEOX_SIZE, "image": IMAGE},
    PROMPT,
)
SD3 = TinyFamily(
    "sd3.5",
    "sd3",
    sd3_pipeline,
    partial(sd3_transformer, seed=7, layers=2, dual_attention_layers=(0,)),
    {"height": 16, "width": 16},
    POOLED,
)
LTX = TinyFamily(
    "ltx",
    "ltx",
    ltx_pipeline,
    partial(ltx_transformer, seed=7, layers=2),
    {"height": 32, "width": 32, "num_frames": 9},
    PROMPT,
    masked=True,
)
LTX_IMAGE_TO_VIDEO = TinyFamily(
    "ltx-i2v",
    "ltx",
    ltx_image_pipeline,
    LTX.render,
    {**LTX.size, "image": IMAGE},
    PROMPT,
    masked=True,
)
SDXL = TinyFamily(
    "sdxl",
    "sdxl",
    sdxl_pipeline,
    partial(sdxl_unet, seed=7, depth=1),
    {"height": 16, "width": 16},
    POOLED,
    attributes=("unet",),
)
TRANSFORMERS = [
    WAN,
    WAN_IMAGE_TO_VIDEO,
    WAN_2_2,
    COGVIDEOX_DDIM,
    COGVIDEOX_DPM,
    COGVIDEOX_IMAGE_TO_VIDEO,
    SD3,
    LTX,
    LTX_IMAGE_TO_VIDEO,
]
FAMILIES = [*TRANSFORMERS, SDXL]
