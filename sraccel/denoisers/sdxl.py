"""SDXL and its distilled relatives SSD-1B and Segmind-Vega (`UNet2DConditionModel`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from sraccel.plugin import Call, ConflictError, DenoiserAdapter, ModelError

if TYPE_CHECKING:
    import torch
    from torch import nn

CONDITIONING = "text_time"
"""How SDXL's UNets are conditioned, and those of Stable Diffusion 1 and 2 are not."""


class SDXLAdapter(DenoiserAdapter):
    """A UNet: models can take turns, but there is no block stack that could be skipped.

    Its blocks feed one another across, so no single stream runs through all of them.
    """

    family = "sdxl"
    model_class = "UNet2DConditionModel"
    # Loading an IP-Adapter changes `encoder_hid_dim_type`: both models need it, or none.
    shared_config = (
        "in_channels",
        "out_channels",
        "cross_attention_dim",
        "addition_embed_type",
        "addition_time_embed_dim",
        "projection_class_embeddings_input_dim",
        "encoder_hid_dim_type",
        "encoder_hid_dim",
        "class_embed_type",
        "time_cond_proj_dim",
    )
    modulated_inputs = ("time_embedding",)
    latents = "sample"

    def recognises(self, module: nn.Module) -> bool:
        conditioning = getattr(module, "config", {}).get("addition_embed_type")
        return super().recognises(module) and conditioning == CONDITIONING

    def modulated_input(self, call: Call, name: str) -> torch.Tensor:
        """Raise ConflictError: a UNet has nothing to skip, so nothing to decide by."""
        raise ConflictError(
            "a UNet has no block stack that could be skipped, so it offers no modulated input: "
            "leave accelerators that ask for one out of the recipe"
        )

    def check_control(self, controlnet: nn.Module, other: nn.Module) -> None:
        first: Any = next(iter(getattr(controlnet, "nets", [controlnet])))
        made = len(getattr(first, "controlnet_down_blocks", ()))
        if made:
            _check_residuals(made, other)

    def sibling_arguments(self, module: nn.Module, arguments: dict[str, Any]) -> dict[str, Any]:
        """The arguments as they are.

        Raises:
            ModelError: a ControlNet's residuals do not go with the model's blocks; the UNet would
                silently drop the last ones.
        """
        given = arguments.get("down_block_additional_residuals")
        if given is not None:
            _check_residuals(len(given), module)
        return arguments


def _check_residuals(made: int, module: nn.Module) -> None:
    """Raise ModelError if a UNet takes another number of a ControlNet's residuals."""
    wanted = _skip_connections(cast(Any, module).config)
    if made != wanted:
        raise ModelError(
            f"the ControlNet makes {made} residuals, the UNet that is called takes {wanted}: they "
            f"are made for different models"
        )


def _skip_connections(config: Mapping[str, Any]) -> int:
    """Outputs of the downward path: of the first convolution, each layer, each downsampler."""
    downs, layers = len(config["down_block_types"]), config["layers_per_block"]
    per_block = [layers] * downs if isinstance(layers, int) else layers
    return 1 + sum(per_block) + downs - 1
