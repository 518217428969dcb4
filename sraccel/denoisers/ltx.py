"""LTX-Video (`LTXVideoTransformer3DModel`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sraccel.plugin import Call, DenoiserAdapter, argument

if TYPE_CHECKING:
    import torch


class LTXAdapter(DenoiserAdapter):
    """Blocks carry the hidden states alone; the residual ends at the input of `proj_out`.

    TeaCache's official code measures up to there, so its residual holds the final norm and
    modulation too. Its modulated input is the first block's: normed, scaled and shifted.
    """

    family = "ltx"
    model_class = "LTXVideoTransformer3DModel"
    block_lists = ("transformer_blocks",)
    tail_name = "proj_out"
    shared_config = (
        "in_channels",
        "out_channels",
        "caption_channels",
        "patch_size",
        "patch_size_t",
    )
    modulated_inputs = ("modulated_hidden_states",)

    def modulated_input(self, call: Call, name: str) -> torch.Tensor:
        block = self.first_block(call.denoiser.module)
        temb: torch.Tensor = argument(*call.block_arguments, 2, "temb")
        table: torch.Tensor = block.scale_shift_table
        # As in the block: six modulations a token, of which the first two are shift and scale.
        given = temb.reshape(*temb.shape[:2], table.shape[0], -1)
        values = table[None, None].to(temb.device) + given
        shift, scale = values[:, :, 0], values[:, :, 1]
        modulated: torch.Tensor = block.norm1(call.block_input) * (1 + scale) + shift
        return modulated
