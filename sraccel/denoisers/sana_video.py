"""SANA-Video, text or image to video (`SanaVideoTransformer3DModel`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from sraccel.plugin import Call, DenoiserAdapter, argument

if TYPE_CHECKING:
    import torch


class SanaVideoAdapter(DenoiserAdapter):
    """Blocks carry the hidden states alone; the residual ends at the input of `norm_out`.

    A ControlNet may add after the last block. TeaCache's authors publish nothing for it; the
    modulated input is the first block's, normed, scaled and shifted, as for LTX-Video, whose blocks
    have such tables of modulations. Image to video gives each token a timestep.
    """

    family = "sana-video"
    model_class = "SanaVideoTransformer3DModel"
    block_lists = ("transformer_blocks",)
    tail_name = "norm_out"
    shared_config = (
        "in_channels",
        "out_channels",
        "patch_size",
        "caption_channels",
        "guidance_embeds",
    )
    modulated_inputs = ("modulated_hidden_states",)
    of_one_model: ClassVar[Mapping[str, str]] = {
        "controlnet_block_samples": "what a ControlNet adds after its blocks"
    }

    def modulated_input(self, call: Call, name: str) -> torch.Tensor:
        block = self.first_block(call.denoiser.module)
        given = argument(*call.block_arguments, 4, "timestep")
        hidden, table = call.block_input, block.scale_shift_table
        # As in the block: six modulations a token, of which the first two are shift and scale.
        values = table[None, None] + given.reshape(*given.shape[:2], table.shape[0], -1)
        shift, scale = values[:, :, 0], values[:, :, 1]
        modulated: torch.Tensor = block.norm1(hidden) * (1 + scale) + shift
        return modulated.to(hidden.dtype)
