"""Qwen-Image, also for editing and for layered images (`QwenImageTransformer2DModel`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, cast

from sraccel.plugin import ENCODER, HIDDEN, Call, DenoiserAdapter, argument

if TYPE_CHECKING:
    import torch
    from torch import nn


class QwenImageAdapter(DenoiserAdapter):
    """Blocks take (hidden, encoder) and return (encoder, hidden).

    TeaCache's authors publish nothing for Qwen-Image, so it is handled like Flux, whose blocks are
    of the same kind. The residual ends at the input of `norm_out`: a ControlNet adds after the last
    block, too. The modulated input is the first block's image stream, normed, scaled and shifted.
    """

    family = "qwen-image"
    model_class = "QwenImageTransformer2DModel"
    block_lists = ("transformer_blocks",)
    streams = (ENCODER, HIDDEN)
    tail_name = "norm_out"
    shared_config = ("in_channels", "out_channels", "patch_size", "joint_attention_dim")
    modulated_inputs = ("modulated_hidden_states",)
    timestep_scale = 1 / 1000
    of_one_model: ClassVar[Mapping[str, str]] = {
        "controlnet_block_samples": "what a ControlNet adds after its blocks"
    }

    def modulated_input(self, call: Call, name: str) -> torch.Tensor:
        block = self.first_block(call.denoiser.module)
        args, kwargs = call.block_arguments
        temb = argument(args, kwargs, 3, "temb")
        # Which tokens belong to an input image and are modulated as at timestep 0; else None.
        index = args[6] if len(args) > 6 else kwargs.get("modulate_index")
        of_attention, _ = block.img_mod(temb).chunk(2, dim=-1)
        modulated: torch.Tensor
        modulated, _ = block._modulate(block.img_norm1(call.block_input), of_attention, index)
        return modulated

    def interface(self, module: nn.Module) -> Mapping[str, object]:
        """Channels, patches, text width, and whether the model is the one for layered images."""
        config = cast(Any, module).config
        of_layers = ("use_additional_t_cond", "use_layer3d_rope")
        return {**super().interface(module), **{key: bool(config.get(key)) for key in of_layers}}
