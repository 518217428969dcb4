"""Allegro, text to video (`AllegroTransformer3DModel`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sraccel.plugin import Call, DenoiserAdapter, argument

if TYPE_CHECKING:
    import torch


class AllegroAdapter(DenoiserAdapter):
    """Blocks carry the hidden states alone; the residual ends at the last block.

    TeaCache's authors publish nothing for Allegro. Its modulated input is taken as for LTX-Video,
    whose blocks are of the same kind: the first block's, normed, scaled and shifted.
    """

    family = "allegro"
    model_class = "AllegroTransformer3DModel"
    block_lists = ("transformer_blocks",)
    # From the head's width on: what the loop's rotary embeddings depend on.
    shared_config = (
        "in_channels",
        "out_channels",
        "caption_channels",
        "attention_head_dim",
        "patch_size",
        "interpolation_scale_h",
        "interpolation_scale_w",
        "interpolation_scale_t",
    )
    modulated_inputs = ("modulated_hidden_states",)

    def modulated_input(self, call: Call, name: str) -> torch.Tensor:
        block = self.first_block(call.denoiser.module)
        temb: torch.Tensor = argument(*call.block_arguments, 2, "temb")
        # As in the block: six modulations, of which the first two are shift and scale.
        values = block.scale_shift_table[None] + temb.reshape(len(temb), 6, -1)
        shift, scale = values[:, 0:1], values[:, 1:2]
        modulated: torch.Tensor = block.norm1(call.block_input) * (1 + scale) + shift
        return modulated
