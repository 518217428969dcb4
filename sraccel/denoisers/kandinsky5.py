"""Kandinsky 5, lite and pro: videos and images (`Kandinsky5Transformer3DModel`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from sraccel.plugin import Call, DenoiserAdapter, ModelError, argument

if TYPE_CHECKING:
    import torch
    from torch import nn

SPARSE = "nabla"
"""The attention for which a pipeline computes which tokens see which."""


class Kandinsky5Adapter(DenoiserAdapter):
    """Blocks carry the visual tokens alone; the residual ends at the last block.

    Its authors' MagCache measures there, too. The few blocks that prepare the text always run.
    TeaCache's authors publish nothing for it; the modulated input is the first block's, normed,
    scaled and shifted, as for models with such blocks.

    Latents are channels last. With `visual_cond`, those of a given image and its mask follow in the
    same dimension.
    """

    family = "kandinsky5"
    model_class = "Kandinsky5Transformer3DModel"
    block_lists = ("visual_transformer_blocks",)
    shared_config = (
        "in_visual_dim",
        "out_visual_dim",
        "patch_size",
        "in_text_dim",
        "in_text_dim2",
        "visual_cond",
    )
    modulated_inputs = ("modulated_hidden_states",)

    def modulated_input(self, call: Call, name: str) -> torch.Tensor:
        block = self.first_block(call.denoiser.module)
        time = argument(*call.block_arguments, 2, "time_embed")
        of_attention = block.visual_modulation(time).unsqueeze(dim=1).chunk(3, dim=-1)[0]
        shift, scale, _ = of_attention.chunk(3, dim=-1)
        hidden = call.block_input
        normed = block.self_attention_norm(hidden.float())
        modulated: torch.Tensor = normed * (scale.float() + 1.0) + shift.float()
        return modulated.type_as(hidden)

    def block_input(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> torch.Tensor:
        tensor: torch.Tensor = argument(args, kwargs, 0, "visual_embed")
        return tensor

    def interface(self, module: nn.Module) -> Mapping[str, object]:
        """The shared configuration, and all channels that go in and come out."""
        config = cast(Any, module).config
        given = config["in_visual_dim"] + 1 if config["visual_cond"] else 0
        return {
            **super().interface(module),
            "in_channels": config["in_visual_dim"] + given,
            "out_channels": config["out_visual_dim"],
        }

    def check_sibling(self, own: nn.Module, other: nn.Module) -> None:
        if _is_sparse(other) and not _is_sparse(own):
            raise ModelError(
                "the render model has sparse attention (attention_type: nabla), for which the "
                "pipeline of a model without it computes no mask: take another render model"
            )

    def sibling_arguments(self, module: nn.Module, arguments: dict[str, Any]) -> dict[str, Any]:
        """The arguments, with what the model itself is to have of sparse attention."""
        arguments = super().sibling_arguments(module, arguments)
        sparse = arguments.get("sparse_params")
        if sparse is None:
            return arguments
        share = cast(Any, module).config["attention_P"]
        kept = {**sparse, "P": share} if _is_sparse(module) else None
        return {**arguments, "sparse_params": kept}


def _is_sparse(module: nn.Module) -> bool:
    return bool(cast(Any, module).config["attention_type"] == SPARSE)
