"""HunyuanVideo 1.5, text or image to video (`HunyuanVideo15Transformer3DModel`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sraccel.plugin import ENCODER, HIDDEN, Call, DenoiserAdapter, argument

if TYPE_CHECKING:
    import torch


class HunyuanVideo15Adapter(DenoiserAdapter):
    """Double-stream blocks only; all take and return (hidden, encoder).

    TeaCache's authors publish nothing for it, so it is handled like HunyuanVideo, whose blocks are
    of the same kind: the residual ends at the last block, and the modulated input is the first
    output of the first block's `norm1`.
    """

    family = "hunyuan-video-1.5"
    model_class = "HunyuanVideo15Transformer3DModel"
    block_lists = ("transformer_blocks",)
    streams = (HIDDEN, ENCODER)
    shared_config = (
        "in_channels",
        "out_channels",
        "text_embed_dim",
        "text_embed_2_dim",
        "image_embed_dim",
        "task_type",
        "use_meanflow",
    )
    modulated_inputs = ("modulated_hidden_states",)

    def modulated_input(self, call: Call, name: str) -> torch.Tensor:
        block = self.first_block(call.denoiser.module)
        temb = argument(*call.block_arguments, 2, "temb")
        modulated: torch.Tensor = block.norm1(call.block_input, emb=temb)[0]
        return modulated
