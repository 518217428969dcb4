"""How a tiny pipeline of a family without an adapter is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from PIL import Image
from tiny_models import TEXT_DIM, assembled, frozen
from torch import nn

from tiny.family import IMAGE, PROMPT, TinyFamily

HEADS = {"num_attention_heads": 2, "attention_head_dim": 16}
LATENTS: dict[str, Any] = {**HEADS, "in_channels": 4, "out_channels": 4, "num_layers": 2}
"""Of a transformer that takes latents of four channels."""
PACKED: dict[str, Any] = {
    **HEADS,
    "in_channels": 16,
    "num_layers": 2,
    "num_single_layers": 2,
    "joint_attention_dim": TEXT_DIM,
}
"""Of one that takes them packed two by two, with text in the same stream."""
ROPE = (4, 6, 6)
PHOTO = IMAGE.resize((64, 64))
MASK = Image.new("L", (16, 16), 255)
SMALL = {"height": 16, "width": 16}
SQUARE = {"height": 64, "width": 64}
"""Output of a pipeline without a VAE, which then takes the compression to be 8x."""
VIDEO = {**SQUARE, "num_frames": 5}
COUNTS = (
    "num_layers",
    "num_single_layers",
    "num_mmdit_layers",
    "num_single_dit_layers",
    "num_visual_blocks",
    "n_layers",
    "depth",
)
"""Names of a transformer's numbers of blocks."""
flow_scheduler = partial(FlowMatchEulerDiscreteScheduler, shift=3.0)


def lively(build: Callable[..., nn.Module], seed: int, **config: Any) -> nn.Module:
    """A random model in which nothing is zero: new gates and output layers would hide the rest."""
    model: nn.Module = frozen(build, seed, **config)
    for parameter in model.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.1)
    return model


def family(
    kind: Callable[..., Any],
    model: Callable[..., nn.Module],
    config: Mapping[str, Any],
    *,
    smaller: Mapping[str, Any] | None = None,
    size: Mapping[str, Any] = SQUARE,
    text: Mapping[str, tuple[int, ...]] = PROMPT,
    scheduler: Callable[[], Any] = flow_scheduler,
    attribute: str = "transformer",
    parts: Mapping[str, Callable[[], Any]] | None = None,
    settings: Mapping[str, Any] | None = None,
    **more: Any,
) -> TinyFamily:
    """A tiny pipeline, named after its class.

    Args:
        kind: class of the pipeline.
        model: class of its denoiser.
        config: of the denoiser.
        smaller: what of it is another in the small model; by default, one block of each kind.
        size: arguments of a call that never change.
        text: shapes of the prompt embeddings.
        scheduler: makes the scheduler.
        attribute: of the pipeline, for the denoiser.
        parts: make the other components.
        settings: of the pipeline itself.
        more: of the `TinyFamily`.
    """

    if smaller is None:
        smaller = {name: 1 for name in COUNTS if name in config}

    def pipeline(**changed: Any) -> Any:
        components = {name: build() for name, build in (parts or {}).items()}
        components[attribute] = lively(model, 0, **{**config, **changed})
        return assembled(kind, scheduler=scheduler(), **components, **(settings or {}))

    def render(seed: int = 7, **changed: Any) -> nn.Module:
        return lively(model, seed, **{**config, **smaller, **changed})

    name = getattr(kind, "__name__", str(kind))
    return TinyFamily(
        name,
        getattr(model, "__name__", name),
        pipeline,
        render,
        dict(size),
        dict(text),
        attributes=(attribute,),
        **more,
    )


def masks(*names: str, tokens: int = 6, dtype: torch.dtype = torch.bool) -> dict[str, torch.Tensor]:
    """Masks of prompts of which every token counts, negative ones too."""
    mask = torch.ones(1, tokens, dtype=dtype)
    return {sign + name: mask for name in names for sign in ("", "negative_")}
