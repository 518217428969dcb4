"""Two families of denoisers, each as the adapter that a package of its own would bring."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

from sraccel.plugin import Call, DenoiserAdapter, argument

if TYPE_CHECKING:
    import torch
    from torch import nn


class LatteAdapter(DenoiserAdapter):
    """Blocks for space and for time take turns; the residual ends at the input of `norm_out`."""

    family = "latte"
    model_class = "LatteTransformer3DModel"
    tail_name = "norm_out"
    modulated_inputs = ("timestep_projection",)

    def blocks(self, module: Any) -> Sequence[nn.Module]:
        pairs = zip(module.transformer_blocks, module.temporal_transformer_blocks, strict=True)
        return list(chain.from_iterable(pairs))

    def modulated_input(self, call: Call, name: str) -> torch.Tensor:
        tensor: torch.Tensor = argument(*call.block_arguments, 4, "timestep")
        return tensor


class SanaAdapter(DenoiserAdapter):
    """One stream; the residual ends at the last block."""

    family = "sana"
    model_class = "SanaTransformer2DModel"
    block_lists = ("transformer_blocks",)
    modulated_inputs = ("timestep_projection",)

    def modulated_input(self, call: Call, name: str) -> torch.Tensor:
        tensor: torch.Tensor = argument(*call.block_arguments, 4, "timestep")
        return tensor
