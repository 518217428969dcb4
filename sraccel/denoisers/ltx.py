"""LTX-Video (`LTXVideoTransformer3DModel`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from sraccel.plugin import Call, DenoiserAdapter, argument, hookimpl

if TYPE_CHECKING:
    import torch
    from torch import nn


class LTXAdapter(DenoiserAdapter):
    """Blocks carry the hidden states alone; the residual ends at the input of `proj_out`.

    TeaCache's official code measures up to there, so its residual holds the final norm and
    modulation too. Its modulated input is the first block's: normed, scaled and shifted.
    """

    family = "ltx"
    modulated_inputs = ("modulated_hidden_states",)

    def recognises(self, module: nn.Module) -> bool:
        return any(base.__name__ == "LTXVideoTransformer3DModel" for base in type(module).__mro__)

    def blocks(self, module: nn.Module) -> Sequence[nn.Module]:
        return list(cast(Any, module).transformer_blocks)

    def tail(self, module: nn.Module) -> nn.Module | None:
        proj_out: nn.Module = cast(Any, module).proj_out
        return proj_out

    def modulated_input(self, call: Call, name: str) -> torch.Tensor:
        block: Any = self.blocks(call.denoiser.module)[0]
        temb: torch.Tensor = argument(*call.block_arguments, 2, "temb")
        table: torch.Tensor = block.scale_shift_table
        # As the block does it: six modulations a token, of which the first two are shift and scale.
        given = temb.reshape(*temb.shape[:2], table.shape[0], -1)
        values = table[None, None].to(temb.device) + given
        shift, scale = values[:, :, 0], values[:, :, 1]
        modulated: torch.Tensor = block.norm1(call.block_input) * (1 + scale) + shift
        return modulated

    def interface(self, module: nn.Module) -> Mapping[str, object]:
        """Channels, text width, and the patches into which the pipeline packs the latents."""
        keys = ("in_channels", "out_channels", "caption_channels", "patch_size", "patch_size_t")
        config = cast(Any, module).config
        return {key: config[key] for key in keys}


@hookimpl
def sraccel_denoiser_adapters() -> Iterable[DenoiserAdapter]:
    """The adapter of this family."""
    return [LTXAdapter()]
