"""Lumina Image 2.0 (`Lumina2Transformer2DModel`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from sraccel.plugin import Call, DenoiserAdapter, argument, hookimpl

if TYPE_CHECKING:
    import torch
    from torch import nn


class Lumina2Adapter(DenoiserAdapter):
    """Blocks carry text and image in one stream; the residual ends at the last block.

    Only `layers` can be skipped: the refiners, which prepare text and image apart, always run. As
    TeaCache's official code has it, the modulated input is the first output of the first layer's
    `norm1`.
    """

    family = "lumina2"
    modulated_inputs = ("modulated_hidden_states",)
    # Lumina counts from noise (0) to image (1).
    timestep_scale = -1 / 1000
    timestep_offset = 1.0
    predicts_for_scheduler = False  # the pipeline negates it

    def recognises(self, module: nn.Module) -> bool:
        return any(base.__name__ == "Lumina2Transformer2DModel" for base in type(module).__mro__)

    def blocks(self, module: nn.Module) -> Sequence[nn.Module]:
        return list(cast(Any, module).layers)

    def modulated_input(self, call: Call, name: str) -> torch.Tensor:
        block: Any = self.blocks(call.denoiser.module)[0]
        temb = argument(*call.block_arguments, 3, "temb")
        modulated: torch.Tensor = block.norm1(call.block_input, temb)[0]  # then scale and gates
        return modulated

    def interface(self, module: nn.Module) -> Mapping[str, object]:
        model: Any = module
        return {
            "in_channels": model.config["in_channels"],
            "out_channels": model.out_channels,
            "cap_feat_dim": model.config["cap_feat_dim"],
        }


@hookimpl
def sraccel_denoiser_adapters() -> Iterable[DenoiserAdapter]:
    """The adapter of this family."""
    return [Lumina2Adapter()]
