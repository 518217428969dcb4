"""Flux.1: dev, schnell, Fill, Kontext, with or without ControlNet (`FluxTransformer2DModel`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from sraccel.plugin import ENCODER, HIDDEN, Call, DenoiserAdapter, ModelError, argument

if TYPE_CHECKING:
    import torch
    from torch import nn


class FluxAdapter(DenoiserAdapter):
    """Blocks of two kinds, one stack; all take (hidden, encoder) and return (encoder, hidden).

    The residual ends at the input of `norm_out`: a ControlNet adds after the last block, too. Its
    modulated input is TeaCache's: the first output of the first block's `norm1`.
    """

    family = "flux"
    model_class = "FluxTransformer2DModel"
    block_lists = ("transformer_blocks", "single_transformer_blocks")
    streams = (ENCODER, HIDDEN)
    tail_name = "norm_out"
    shared_config = ("in_channels", "out_channels", "joint_attention_dim", "pooled_projection_dim")
    modulated_inputs = ("modulated_hidden_states",)
    timestep_scale = 1e-3
    of_one_model: ClassVar[Mapping[str, str]] = {
        "controlnet_block_samples": "what a ControlNet adds after its blocks",
        "controlnet_single_block_samples": "what a ControlNet adds after its blocks",
    }

    def modulated_input(self, call: Call, name: str) -> torch.Tensor:
        block = self.first_block(call.denoiser.module)
        temb = argument(*call.block_arguments, 2, "temb")
        modulated: torch.Tensor = block.norm1(call.block_input, emb=temb)[0]
        return modulated

    def check_sibling(self, own: nn.Module, other: nn.Module) -> None:
        if _takes_guidance(other) and not _takes_guidance(own):
            raise ModelError(
                "the render model needs the guidance scale as an input (Flux dev), which the "
                "pipeline of a model without it (schnell) does not pass: take another render model"
            )

    def sibling_arguments(self, module: nn.Module, arguments: dict[str, Any]) -> dict[str, Any]:
        """The arguments, without the guidance scale for a model that does not take it.

        Raises:
            ModelError: they were computed for the pipeline's own model.
        """
        arguments = super().sibling_arguments(module, arguments)
        extra = arguments.get("joint_attention_kwargs") or {}
        if "ip_adapter_image_embeds" in extra and getattr(module, "encoder_hid_proj", None) is None:
            raise ModelError(
                "the pipeline passes an image prompt, but the Flux model that is called has no "
                "IP-Adapter: load one on it too, or leave the image prompt out"
            )
        if _takes_guidance(module):
            return arguments
        return {name: value for name, value in arguments.items() if name != "guidance"}


def _takes_guidance(module: Any) -> bool:
    return bool(module.config["guidance_embeds"])
