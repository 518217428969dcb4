"""Lumina Image 2.0 (`Lumina2Transformer2DModel`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sraccel.plugin import Call, DenoiserAdapter, argument

if TYPE_CHECKING:
    import torch


class Lumina2Adapter(DenoiserAdapter):
    """Blocks carry text and image in one stream; the residual ends at the last block.

    Only `layers` can be skipped: the refiners, which prepare text and image apart, always run. As
    TeaCache's official code has it, the modulated input is the first output of the first layer's
    `norm1`.
    """

    family = "lumina2"
    model_class = "Lumina2Transformer2DModel"
    block_lists = ("layers",)
    shared_config = ("in_channels", "out_channels", "cap_feat_dim")
    modulated_inputs = ("modulated_hidden_states",)
    # Lumina counts from noise (0) to image (1).
    timestep_scale = -1 / 1000
    timestep_offset = 1.0
    predicts_for_scheduler = False  # the pipeline negates it

    def modulated_input(self, call: Call, name: str) -> torch.Tensor:
        block = self.first_block(call.denoiser.module)
        temb = argument(*call.block_arguments, 3, "temb")
        modulated: torch.Tensor = block.norm1(call.block_input, temb)[0]  # then scale and gates
        return modulated
