"""Chroma, with or without ControlNet (`ChromaTransformer2DModel`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from sraccel.plugin import Call, DenoiserAdapter, argument

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

    def unchanged(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        hidden = self.block_input(args, kwargs)
        # The model calls a single-stream block by name, without a text stream.
        encoder = args[1] if len(args) > 1 else kwargs.get("encoder_hidden_states")
        return hidden if encoder is None else (encoder, hidden)

    def carried(self, output: Any) -> torch.Tensor:
        hidden: torch.Tensor = output[1] if isinstance(output, tuple) else output
        return hidden

    def with_carried(self, output: Any, carried: torch.Tensor) -> Any:
        return (output[0], carried) if isinstance(output, tuple) else carried
