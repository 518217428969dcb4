"""CogVideoX 2B, 5B and 1.5, text or image to video (`CogVideoXTransformer3DModel`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from sraccel.plugin import ENCODER, HIDDEN, Call, DenoiserAdapter, ModelError, argument

if TYPE_CHECKING:
    import torch
    from torch import nn

ROTARY_FACTS = ("attention_head_dim", "patch_size", "patch_size_t")
"""The configuration that the loop's rotary embeddings depend on."""


class CogVideoXAdapter(DenoiserAdapter):
    """Blocks take and return (hidden, encoder); the residual ends at the last block.

    The modulated input is each block's argument `temb`: the time embedding, and for 1.5's image to
    video plus that of the frame offset (`ofs`), as in TeaCache's official code.

    The models of the family place their tokens differently: 5B and 1.5 by rotary embeddings that
    the loop computes, 2B by embeddings of its own.
    """

    family = "cogvideox"
    model_class = "CogVideoXTransformer3DModel"
    block_lists = ("transformer_blocks",)
    streams = (HIDDEN, ENCODER)
    shared_config = ("in_channels", "out_channels", "text_embed_dim")
    modulated_inputs = ("time_embedding",)

    def modulated_input(self, call: Call, name: str) -> torch.Tensor:
        temb: torch.Tensor = argument(*call.block_arguments, 2, "temb")
        return temb

    def check_sibling(self, own: nn.Module, other: nn.Module) -> None:
        ours, theirs = cast(Any, own).config, cast(Any, other).config
        if theirs.get("ofs_embed_dim") is not None and ours.get("ofs_embed_dim") is None:
            raise ModelError(
                "the render model needs a frame offset (`ofs`), which the pipeline of another "
                "CogVideoX version does not pass: take a model of the pipeline's own version"
            )
        if not theirs["use_rotary_positional_embeddings"]:
            return
        if not ours["use_rotary_positional_embeddings"]:
            raise ModelError(
                "the render model needs rotary embeddings, which the pipeline does not compute, "
                "since its own model has none: only a model without them (CogVideoX-2b) can take "
                "over here"
            )
        for key in ROTARY_FACTS:
            if ours.get(key) != theirs.get(key):
                raise ModelError(
                    f"the pipeline's rotary embeddings do not fit the render model: {key} is "
                    f"{ours.get(key)} (the pipeline's), {theirs.get(key)} (render); take a "
                    f"model of the pipeline's own version"
                )

    def sibling_arguments(self, module: nn.Module, arguments: dict[str, Any]) -> dict[str, Any]:
        config = cast(Any, module).config
        takes = {
            "image_rotary_emb": config["use_rotary_positional_embeddings"],
            "ofs": config.get("ofs_embed_dim") is not None,
        }
        return {name: value for name, value in arguments.items() if takes.get(name, True)}
