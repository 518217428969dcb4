"""Z-Image and Z-Image-Turbo, with or without ControlNet, and Omni (`ZImageTransformer2DModel`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from sraccel.plugin import Call, DenoiserAdapter, argument

if TYPE_CHECKING:
    import torch


class ZImageAdapter(DenoiserAdapter):
    """Blocks carry image and text in one stream; the residual ends at the last block.

    Only `layers` can be skipped: the refiners, which prepare image and text apart, always run. What
    a ControlNet adds after the last block is added anew at a skipped step; what it adds between the
    blocks is part of the residual.

    TeaCache's authors publish nothing for Z-Image, so it is handled like Lumina 2, whose blocks are
    of the same kind: the modulated input is the first layer's, normed and scaled.
    """

    family = "z-image"
    model_class = "ZImageTransformer2DModel"
    block_lists = ("layers",)
    shared_config = (
        "in_channels",
        "cap_feat_dim",
        "siglip_feat_dim",
        "all_patch_size",
        "all_f_patch_size",
    )
    modulated_inputs = ("modulated_hidden_states",)
    latents = "x"
    timestep = "t"
    # Z-Image counts from noise (0) to image (1), as Lumina does.
    timestep_scale = -1 / 1000
    timestep_offset = 1.0
    predicts_for_scheduler = False  # the pipeline negates it
    of_one_model: ClassVar[Mapping[str, str]] = {
        "controlnet_block_samples": "what a ControlNet adds after its blocks"
    }

    def modulated_input(self, call: Call, name: str) -> torch.Tensor:
        block = self.first_block(call.denoiser.module)
        scale = 1.0 + _scale(block, *call.block_arguments)
        modulated: torch.Tensor = block.attention_norm1(call.block_input) * scale
        return modulated

    def block_input(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> torch.Tensor:
        tensor: torch.Tensor = argument(args, kwargs, 0, "x")
        return tensor


def _scale(block: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> torch.Tensor:
    """The block's first modulation, of shape (B, 1, D); in Omni, which has given images, (B, N, D).

    Tokens of given images, and of the text about them, are modulated as at the schedule's end.
    """
    import torch

    def of(embedding: torch.Tensor) -> torch.Tensor:
        modulations: torch.Tensor = block.adaLN_modulation(embedding).unsqueeze(1)
        return modulations.chunk(4, dim=2)[0]

    embedding = argument(args, kwargs, 3, "adaln_input")
    if embedding is not None:
        return of(embedding)
    noisy = argument(args, kwargs, 4, "noise_mask").unsqueeze(-1) == 1
    of_noisy = of(argument(args, kwargs, 5, "adaln_noisy"))
    return torch.where(noisy, of_noisy, of(argument(args, kwargs, 6, "adaln_clean")))
