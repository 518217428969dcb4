"""Chroma, with or without ControlNet (`ChromaTransformer2DModel`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from sraccel.plugin import ENCODER, HIDDEN, Call, DenoiserAdapter, argument

if TYPE_CHECKING:
    import torch


class ChromaAdapter(DenoiserAdapter):
    """Double-stream blocks return (encoder, hidden), single-stream blocks one joined stream.

    TeaCache's authors publish nothing for Chroma, so it is decided as for Flux, of which it is a
    descendant: by the first output of the first block's `norm1`. The residual ends at the input of
    `norm_out`: there the joined stream is cut to the image tokens, with which the first block
    began.
    """

    family = "chroma"
    model_class = "ChromaTransformer2DModel"
    block_lists = ("transformer_blocks", "single_transformer_blocks")
    streams = (ENCODER, HIDDEN)
    tail_name = "norm_out"
    shared_config = ("in_channels", "out_channels", "joint_attention_dim")
    modulated_inputs = ("modulated_hidden_states",)
    timestep_scale = 1e-3
    of_one_model: ClassVar[Mapping[str, str]] = {
        "controlnet_block_samples": "what a ControlNet adds after its blocks",
        "controlnet_single_block_samples": "what a ControlNet adds after its blocks",
    }

    def modulated_input(self, call: Call, name: str) -> torch.Tensor:
        block = self.first_block(call.denoiser.module)
        temb = argument(*call.block_arguments, 2, "temb")[:, :6]  # then six of the text's stream
        modulated: torch.Tensor = block.norm1(call.block_input, emb=temb)[0]
        return modulated
