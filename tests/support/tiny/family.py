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


Watch = Callable[[nn.Module, list[torch.Tensor]], object]
"""Collects a tensor of each forward of a model in a list, by torch's own hooks."""


def output_of(path: str, index: int | None = None) -> Watch:
    """Watches what a submodule returns, or one of several tensors that it returns."""

    def watch(model: nn.Module, seen: list[torch.Tensor]) -> object:
        def collect(module: nn.Module, args: Any, output: Any) -> None:
            seen.append(output if index is None else output[index])

        return model.get_submodule(path).register_forward_hook(collect)

    return watch


def argument_of(path: str, which: int | str) -> Watch:
    """Watches what a submodule gets, by position or by name."""

    def watch(model: nn.Module, seen: list[torch.Tensor]) -> object:
        def collect(module: nn.Module, args: Any, kwargs: dict[str, Any]) -> None:
            seen.append(args[which] if isinstance(which, int) else kwargs[which])

        return model.get_submodule(path).register_forward_pre_hook(collect, with_kwargs=True)

    return watch


@dataclass(frozen=True)
class BlockStack:
    """Where a family's blocks are in the real model, for references that do without sraccel.

    Attributes:
        modulated: watches the modulated input where the model itself computes it.
        lists: the model's attributes that hold the blocks, in the order in which they run.
        parameters: the first of a block's parameters, in order.
        returns: the streams that a block returns, in order: h(idden), e(ncoder).
        tail: the submodule at whose first argument the residual ends; None: at the last block.
    """

    modulated: Watch
    lists: tuple[str, ...] = ("transformer_blocks",)
    parameters: tuple[str, ...] = ("hidden_states", "encoder_hidden_states", "temb")
    returns: str = "h"
    tail: str | None = None

    def of(self, model: nn.Module) -> list[nn.Module]:
        """The blocks, in the order in which they run."""
        return [block for name in self.lists for block in model.get_submodule(name).children()]

    def start(self, args: Any, kwargs: dict[str, Any]) -> torch.Tensor:
        """The hidden stream among the first block's arguments."""
        tensor: torch.Tensor = args[0] if args else kwargs[self.parameters[0]]
        return tensor

    def hidden(self, output: Any) -> torch.Tensor:
        """The hidden stream in the last block's output."""
        tensor: torch.Tensor = output if self.returns == "h" else output[self.returns.index("h")]
        return tensor

    def with_hidden(self, output: Any, hidden: torch.Tensor) -> Any:
        """The last block's output with another hidden stream."""
        if self.returns == "h":
            return hidden
        position = self.returns.index("h")
        return (*output[:position], hidden, *output[position + 1 :])


@dataclass(frozen=True, eq=False)
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
        listed: whether the prompts come as a list, each without a batch dimension.
        blocks: where the blocks are; None: there are none that could be skipped.
        guidance: the argument for the strength of guidance; None: there is none.
        negatives: whether the pipeline takes negative prompts.
        output: what the pipeline is asked for.
        strength: of a pipeline that begins late in the schedule (video to video); None: it does
            not. The schedule is so long that the run has the steps asked for.
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
    listed: bool = False
    blocks: BlockStack | None = None
    guidance: str | None = "guidance_scale"
    negatives: bool = True
    output: str = "latent"
    strength: float | None = None

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
        signs = ("", "negative_") if self.negatives else ("",)
        conditions = torch.Generator().manual_seed(1234)
        embeddings = {
            name: torch.randn(shape, generator=conditions).to(dtype)
            for (key, shape), sign in itertools.product(self.text.items(), signs)
            for name in [sign + key]
        }
        if self.listed:
            embeddings = {name: list(prompts) for name, prompts in embeddings.items()}
        if self.masked:
            mask = torch.ones(1, self.text["prompt_embeds"][1], dtype=torch.bool)
            embeddings |= {"prompt_attention_mask": mask, "negative_prompt_attention_mask": mask}
        if self.strength is not None:
            steps, more = round(steps / self.strength), {"strength": self.strength, **more}
        return {
            **embeddings,
            **self.size,
            "num_inference_steps": steps,
            **({} if self.guidance is None else {self.guidance: guidance}),
            "generator": torch.Generator().manual_seed(seed),
            "output_type": self.output,
            **more,
        }

    def generate(self, pipeline: Any, steps: int = STEPS, **more: Any) -> torch.Tensor:
        """The latents of a run."""
        latents: torch.Tensor = pipeline(**self.arguments(steps, **more))[0]
        return latents

    def calls_at(self, guidance: float) -> int:
        """Denoiser calls of a step; a pipeline with a guider of its own makes all of them."""
        return 1 if self.guidance is not None and guidance <= 1 else self.calls_per_step

    def denoisers(self, pipeline: Any) -> list[nn.Module]:
        """The pipeline's own denoisers."""
        return [getattr(pipeline, attribute) for attribute in self.attributes]
