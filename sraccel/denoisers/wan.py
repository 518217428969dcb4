"""Wan 2.1 and 2.2 (`WanTransformer3DModel`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, cast

from sraccel.plugin import Call, DenoiserAdapter, argument

if TYPE_CHECKING:
    import torch
    from torch import nn


class WanAdapter(DenoiserAdapter):
    """Blocks carry the hidden states alone; the residual ends at the last block.

    Modulated inputs, as TeaCache's official code takes them: the time *embedding* (plain variant;
    tapped at `time_embedder`, which stays float32 where `temb` is cast), and the time *projection*
    (retention variant; each block's argument `temb`).
    """

    family = "wan"
    model_class = "WanTransformer3DModel"
    block_lists: ClassVar[tuple[str, ...]] = ("blocks",)
    shared_config: ClassVar[tuple[str, ...]] = (
        "in_channels",
        "out_channels",
        "text_dim",
        "image_dim",
    )
    modulated_inputs = ("time_embedding", "time_projection")

    def taps(self, module: nn.Module) -> Mapping[str, nn.Module]:
        return {"time_embedding": cast(Any, module).condition_embedder.time_embedder}

    def modulated_input(self, call: Call, name: str) -> torch.Tensor:
        if name == "time_embedding":
            return call.taps[name]
        temb: torch.Tensor = argument(*call.block_arguments, 2, "temb")
        return temb
