"""Mochi 1 (`MochiTransformer3DModel`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from sraccel.plugin import Call, DenoiserAdapter, argument, hookimpl

if TYPE_CHECKING:
    import torch
    from torch import nn


class MochiAdapter(DenoiserAdapter):
    """Blocks take and return (hidden, encoder); the residual ends at the input of `proj_out`.

    TeaCache's official code measures up to there, so its residual holds the final norm too. Its
    modulated input is the first output of the first block's `norm1`.
    """

    family = "mochi"
    modulated_inputs = ("modulated_hidden_states",)

    def recognises(self, module: nn.Module) -> bool:
        return any(base.__name__ == "MochiTransformer3DModel" for base in type(module).__mro__)

    def blocks(self, module: nn.Module) -> Sequence[nn.Module]:
        return list(cast(Any, module).transformer_blocks)

    def tail(self, module: nn.Module) -> nn.Module | None:
        proj_out: nn.Module = cast(Any, module).proj_out
        return proj_out

    def modulated_input(self, call: Call, name: str) -> torch.Tensor:
        block: Any = self.blocks(call.denoiser.module)[0]
        temb = argument(*call.block_arguments, 2, "temb")
        modulated: torch.Tensor = block.norm1(call.block_input, temb)[0]
        return modulated

    def interface(self, module: nn.Module) -> Mapping[str, object]:
        config = cast(Any, module).config
        return {
            "in_channels": config["in_channels"],
            "out_channels": config["out_channels"] or config["in_channels"],
            "text_embed_dim": config["text_embed_dim"],
        }

    def unchanged(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return self.block_input(args, kwargs), argument(args, kwargs, 1, "encoder_hidden_states")

    def carried(self, output: Any) -> torch.Tensor:
        hidden: torch.Tensor = output[0]
        return hidden

    def with_carried(self, output: Any, carried: torch.Tensor) -> Any:
        return carried, output[1]


@hookimpl
def sraccel_denoiser_adapters() -> Iterable[DenoiserAdapter]:
    """The adapter of this family."""
    return [MochiAdapter()]
