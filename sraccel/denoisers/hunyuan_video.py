"""HunyuanVideo, text or image to video (`HunyuanVideoTransformer3DModel`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, cast

from sraccel.plugin import ENCODER, HIDDEN, Call, DenoiserAdapter, ModelError, argument

if TYPE_CHECKING:
    import torch
    from torch import nn

TOKEN_REPLACE = "token_replace"
"""Image to video where the first frame has its own time embedding."""


class HunyuanVideoAdapter(DenoiserAdapter):
    """Blocks of two kinds, one stack; all take and return (hidden, encoder).

    The residual ends at the last block. The modulated input is TeaCache's: the first output of the
    first block's `norm1`.
    """

    family = "hunyuan-video"
    model_class = "HunyuanVideoTransformer3DModel"
    block_lists = ("transformer_blocks", "single_transformer_blocks")
    streams = (HIDDEN, ENCODER)
    shared_config: ClassVar[tuple[str, ...]] = (
        "in_channels",
        "out_channels",
        "text_embed_dim",
        "pooled_projection_dim",
        "image_condition_type",
    )
    modulated_inputs = ("modulated_hidden_states",)

    def modulated_input(self, call: Call, name: str) -> torch.Tensor:
        module: Any = call.denoiser.module
        given: dict[str, Any] = {"emb": argument(*call.block_arguments, 2, "temb")}
        if module.config["image_condition_type"] == TOKEN_REPLACE:
            first = argument(*call.block_arguments, 5, "token_replace_emb")
            tokens = argument(*call.block_arguments, 6, "num_tokens")
            given |= {"token_replace_emb": first, "first_frame_num_tokens": tokens}
        block = self.first_block(module)
        modulated: torch.Tensor = block.norm1(call.block_input, **given)[0]
        return modulated

    def check_sibling(self, own: nn.Module, other: nn.Module) -> None:
        ours, theirs = cast(Any, own).config, cast(Any, other).config
        if theirs["guidance_embeds"] and not ours["guidance_embeds"]:
            raise ModelError(
                "the render model needs the guidance scale as an input, which not every pipeline "
                "of a model without it passes: take a render model without guidance embedding"
            )
