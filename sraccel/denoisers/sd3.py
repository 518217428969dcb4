"""Stable Diffusion 3 and 3.5 (`SD3Transformer2DModel`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from sraccel.plugin import ENCODER, HIDDEN, Call, DenoiserAdapter, ModelError, argument

if TYPE_CHECKING:
    import torch
    from torch import nn


class SD3Adapter(DenoiserAdapter):
    """Blocks take (hidden, encoder) and return (encoder, hidden); the residual ends at the last.

    The last block returns None in the encoder's place. What a ControlNet adds between the blocks
    is part of the residual.

    TeaCache's authors publish nothing for SD3. Its modulated input is taken as for Flux, whose
    blocks are of the same kind: the first output of the first block's `norm1`.
    """

    family = "sd3"
    model_class = "SD3Transformer2DModel"
    block_lists = ("transformer_blocks",)
    streams = (ENCODER, HIDDEN)
    shared_config = ("in_channels", "out_channels", "joint_attention_dim", "pooled_projection_dim")
    modulated_inputs = ("modulated_hidden_states",)
    of_one_model: ClassVar[Mapping[str, str]] = {
        "skip_layers": "numbers of blocks to skip, for skip-layer guidance",
        "block_controlnet_hidden_states": "what a ControlNet adds after its blocks",
    }

    def modulated_input(self, call: Call, name: str) -> torch.Tensor:
        block = self.first_block(call.denoiser.module)
        temb = argument(*call.block_arguments, 2, "temb")
        # Four more outputs follow, or six where the block has a second attention (3.5 medium).
        modulated: torch.Tensor = block.norm1(call.block_input, emb=temb)[0]
        return modulated

    def sibling_arguments(self, module: nn.Module, arguments: dict[str, Any]) -> dict[str, Any]:
        """The arguments, if they mean the same to every model of the family.

        Raises:
            ModelError: they name blocks of the pipeline's own model, or were computed for it.
        """
        arguments = super().sibling_arguments(module, arguments)
        extra = arguments.get("joint_attention_kwargs") or {}
        if "ip_adapter_image_embeds" in extra and getattr(module, "image_proj", None) is None:
            raise ModelError(
                "the pipeline passes an image prompt, but the SD3 model that is called has no "
                "IP-Adapter: load one on it too, or leave the image prompt out"
            )
        return arguments
