"""What other packages do, put on by an accelerator: peft's LoRAs, torchao's quantisation."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from sraccel.plugin import Accelerator, Denoiser, StepPlan, hookimpl

LAYER = "blocks.0.attn1.to_q"


class FewStepLora(Accelerator):
    """A LoRA on each denoiser, and the few steps that such a LoRA was distilled for.

    Its weights are drawn here; diffusers' own loader puts them on and takes them off.
    """

    name = "few-step-lora"
    claims = frozenset({"linear"})

    def __init__(self, strength: float, positions: Sequence[int] | None) -> None:
        super().__init__()
        self.strength, self.positions = strength, positions

    @hookimpl
    def plan_steps(self, plan: StepPlan) -> list[float] | None:
        if self.positions is None:
            return None
        return [plan.sigmas[position] for position in self.positions]

    @hookimpl
    @contextmanager
    def prepare_denoiser(self, denoiser: Denoiser) -> Iterator[None]:
        module: Any = denoiser.module
        module.load_lora_adapter(self.weights(module), prefix=None, adapter_name=self.name)
        try:
            yield
        finally:
            module.unload_lora()

    def weights(self, module: Any) -> dict[str, torch.Tensor]:
        """Of rank 4, on one layer."""
        layer: nn.Linear = module.get_submodule(LAYER)
        drawn = torch.Generator().manual_seed(0)
        down = torch.randn(4, layer.in_features, generator=drawn)
        up = torch.randn(layer.out_features, 4, generator=drawn)
        return {f"{LAYER}.lora_A.weight": down, f"{LAYER}.lora_B.weight": self.strength * up}


class TorchAO(Accelerator):
    """Weights in int8 by torchao, for as long as the stack is attached."""

    name = "torchao"
    claims = frozenset({"linear"})
    claims_speed = False

    @hookimpl
    @contextmanager
    def prepare_denoiser(self, denoiser: Denoiser) -> Iterator[None]:
        from torchao.quantization import Int8WeightOnlyConfig, quantize_

        blocks: Any = denoiser.module.blocks
        plain = list(blocks)
        try:
            for place, block in enumerate(plain):
                blocks[place] = copy.deepcopy(block)
                quantize_(blocks[place], Int8WeightOnlyConfig())
            yield
        finally:
            for place, block in enumerate(plain):
                blocks[place] = block
