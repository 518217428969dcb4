"""HiDream-I1 (`HiDreamImageTransformer2DModel`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from sraccel.plugin import ENCODER, HIDDEN, Call, DenoiserAdapter, argument

if TYPE_CHECKING:
    import torch
    from torch import nn


class HiDreamAdapter(DenoiserAdapter):
    """Double-stream blocks carry (hidden, encoder), single-stream blocks one joined stream.

    The residual ends at the input of `final_layer`: there the joined stream is cut to the image
    tokens, with which the first block began. As in TeaCache's official code, the modulated input
    is the time embedding, before the text's is added.
    """

    family = "hidream"
    model_class = "HiDreamImageTransformer2DModel"
    block_lists = ("double_stream_blocks", "single_stream_blocks")
    streams = (HIDDEN, ENCODER)
    tail_name = "final_layer"
    shared_config = ("in_channels", "out_channels", "caption_channels", "text_emb_dim")
    modulated_inputs = ("time_embedding",)
    timestep = "timesteps"
    predicts_for_scheduler = False  # the pipeline negates it

    def taps(self, module: nn.Module) -> Mapping[str, nn.Module]:
        return {"time_embedding": cast(Any, module).t_embedder}

    def modulated_input(self, call: Call, name: str) -> torch.Tensor:
        return call.taps[name]

    def unchanged(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        hidden = self.block_input(args, kwargs)
        encoder = argument(args, kwargs, 2, ENCODER)  # behind the image's mask
        return hidden if encoder is None else (hidden, encoder)
