"""What the tests of one family need: its tiny pipeline and the arguments of a call."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from tiny_models import TEXT_DIM
from torch import nn

STEPS = 6
HALF = STEPS // 2
POOLED_DIM = 12
IMAGE = Image.new("RGB", (16, 16), (200, 90, 30))
PROMPT = {"prompt_embeds": (1, 6, TEXT_DIM)}
POOLED = {**PROMPT, "pooled_prompt_embeds": (1, POOLED_DIM)}


def frozen(build: Callable[..., Any], seed: int, **config: Any) -> Any:
    """A random model that always has the same weights."""
    torch.manual_seed(seed)
    return build(**config).eval().requires_grad_(False)


def quiet(pipeline: Any) -> Any:
    """The pipeline, without progress bars."""
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


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
