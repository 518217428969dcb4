"""HiDream-I1 (`HiDreamImageTransformer2DModel`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from sraccel.plugin import Call, DenoiserAdapter, argument, hookimpl

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
    modulated_inputs = ("time_embedding",)
    timestep = "timesteps"
    predicts_for_scheduler = False  # the pipeline negates it

    def recognises(self, module: nn.Module) -> bool:
        return any(
            base.__name__ == "HiDreamImageTransformer2DModel" for base in type(module).__mro__
        )

    def blocks(self, module: nn.Module) -> Sequence[nn.Module]:
        model: Any = module
        return [*model.double_stream_blocks, *model.single_stream_blocks]

    def tail(self, module: nn.Module) -> nn.Module | None:
        final_layer: nn.Module = cast(Any, module).final_layer
        return final_layer

    def taps(self, module: nn.Module) -> Mapping[str, nn.Module]:
        return {"time_embedding": cast(Any, module).t_embedder}

    def modulated_input(self, call: Call, name: str) -> torch.Tensor:
        return call.taps[name]

    def interface(self, module: nn.Module) -> Mapping[str, object]:
        """Channels, and the widths of the T5, Llama and pooled CLIP embeddings."""
        model: Any = module
        return {
            "in_channels": model.config["in_channels"],
            "out_channels": model.out_channels,
            "caption_channels": tuple(model.config["caption_channels"]),
            "text_emb_dim": model.config["text_emb_dim"],
        }

    def unchanged(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        hidden = self.block_input(args, kwargs)
        encoder = argument(args, kwargs, 2, "encoder_hidden_states")
        return hidden if encoder is None else (hidden, encoder)  # None: a single-stream block

    def carried(self, output: Any) -> torch.Tensor:
        hidden: torch.Tensor = output[0] if isinstance(output, tuple) else output
        return hidden

    def with_carried(self, output: Any, carried: torch.Tensor) -> Any:
        return (carried, *output[1:]) if isinstance(output, tuple) else carried


@hookimpl
def sraccel_denoiser_adapters() -> Iterable[DenoiserAdapter]:
    """The adapter of this family."""
    return [HiDreamAdapter()]
