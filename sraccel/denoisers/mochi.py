"""Mochi 1 (`MochiTransformer3DModel`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sraccel.plugin import ENCODER, HIDDEN, Call, DenoiserAdapter, argument

if TYPE_CHECKING:
    import torch


class MochiAdapter(DenoiserAdapter):
    """Blocks take and return (hidden, encoder); the residual ends at the input of `proj_out`.

    TeaCache's official code measures up to there, so its residual holds the final norm too. Its
    modulated input is the first output of the first block's `norm1`.
    """

    family = "mochi"
    model_class = "MochiTransformer3DModel"
    block_lists = ("transformer_blocks",)
    streams = (HIDDEN, ENCODER)
    tail_name = "proj_out"
    shared_config = ("in_channels", "out_channels", "text_embed_dim")
    modulated_inputs = ("modulated_hidden_states",)

    def modulated_input(self, call: Call, name: str) -> torch.Tensor:
        block = self.first_block(call.denoiser.module)
        temb = argument(*call.block_arguments, 2, "temb")
        modulated: torch.Tensor = block.norm1(call.block_input, temb)[0]
        return modulated
