"""FLUX.2: dev and klein, with or without given images (`Flux2Transformer2DModel`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, cast

from sraccel.plugin import ENCODER, HIDDEN, Call, DenoiserAdapter, ModelError, argument

if TYPE_CHECKING:
    import torch
    from torch import nn


class Flux2Adapter(DenoiserAdapter):
    """Double-stream blocks return (encoder, hidden), single-stream blocks one joined stream.

    The residual ends at the input of `norm_out`: there the joined stream is cut to the image
    tokens, with which the first block began. Where klein keeps the keys and values of given images
    (`kv_cache`), the call that extracts them begins with their tokens, too, and ends without.

    TeaCache's authors publish nothing for FLUX.2, so it is decided as for Flux.1: by the first
    block's image stream, normed, scaled and shifted. All blocks of a kind share one modulation,
    which the model computes before them.
    """

    family = "flux2"
    model_class = "Flux2Transformer2DModel"
    block_lists = ("transformer_blocks", "single_transformer_blocks")
    streams = (ENCODER, HIDDEN)
    tail_name = "norm_out"
    shared_config = ("in_channels", "out_channels", "joint_attention_dim", "patch_size")
    modulated_inputs = ("modulated_hidden_states",)
    timestep_scale = 1e-3
    of_one_model: ClassVar[Mapping[str, str]] = {
        "kv_cache": "keys and values of the given images, of each block"
    }

    def modulated_input(self, call: Call, name: str) -> torch.Tensor:
        block = self.first_block(call.denoiser.module)
        temb: torch.Tensor = argument(*call.block_arguments, 2, "temb_mod_img")
        # As in the block: six modulations, of which the first two are shift and scale.
        values = temb if temb.ndim == 3 else temb.unsqueeze(1)
        shift, scale, *_ = values.chunk(6, dim=-1)
        hidden = argument(*call.block_arguments, 0, "hidden_states")
        modulated: torch.Tensor = (1 + scale) * block.norm1(hidden) + shift
        return modulated

    def block_input(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> torch.Tensor:
        """The image tokens; where keys and values are extracted, without those of given images."""
        hidden = super().block_input(args, kwargs)
        of_attention = kwargs.get("joint_attention_kwargs") or {}
        extracts = of_attention.get("kv_cache_mode") == "extract"
        return hidden[:, of_attention["num_ref_tokens"] :] if extracts else hidden

    def check_sibling(self, own: nn.Module, other: nn.Module) -> None:
        ours, theirs = cast(Any, own).config, cast(Any, other).config
        if theirs["guidance_embeds"] and not ours["guidance_embeds"]:
            raise ModelError(
                "the render model needs the guidance scale as an input (FLUX.2 dev), which the "
                "pipeline of a model without it (klein) does not pass: take another render model"
            )
