"""Cosmos 1.0 and Cosmos Predict2, text or video to world (`CosmosTransformer3DModel`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from sraccel.plugin import Call, DenoiserAdapter, argument

if TYPE_CHECKING:
    import torch
    from torch import nn


class CosmosAdapter(DenoiserAdapter):
    """Blocks carry the hidden states alone; the residual ends at the last block.

    The modulated input is the first output of the first block's `norm1`, as TeaCache's official
    code takes it: without the learned position embedding, which the block adds before its norm.
    """

    family = "cosmos"
    model_class = "CosmosTransformer3DModel"
    block_lists = ("transformer_blocks",)
    shared_config = ("in_channels", "out_channels", "text_embed_dim")
    predicts_for_scheduler = False  # the pipelines scale it to x0
    modulated_inputs = ("modulated_hidden_states",)

    def recognises(self, module: nn.Module) -> bool:
        return super().recognises(module) and _has_learned_positions(module)

    def modulated_input(self, call: Call, name: str) -> torch.Tensor:
        block = self.first_block(call.denoiser.module)
        embedded_timestep = argument(*call.block_arguments, 2, "embedded_timestep")
        temb = argument(*call.block_arguments, 3, "temb")
        modulated: torch.Tensor = block.norm1(call.block_input, embedded_timestep, temb)[0]
        return modulated


class Cosmos2Adapter(CosmosAdapter):
    """Cosmos Predict2: its timestep has another unit, and it has no learned position embedding.

    Its pipelines pass sigma / (sigma + 1), where the scheduler's timestep is 1000 sigma.

    Predict2.5 is not supported: its scheduler rounds timesteps which its pipelines pass unrounded,
    so the step of a call would not be known.
    """

    family = "cosmos2"

    def recognises(self, module: nn.Module) -> bool:
        if not DenoiserAdapter.recognises(self, module) or _has_learned_positions(module):
            return False
        return not cast(Any, module).config.get("use_crossattn_projection")  # Predict2.5 has one

    def model_timestep(self, timestep: float) -> float:
        sigma = timestep / 1000
        return sigma / (sigma + 1)

    def loop_timestep(self, given: float) -> float:
        return 1000 * given / (1 - given)


def _has_learned_positions(module: nn.Module) -> bool:
    return cast(Any, module).config["extra_pos_embed_type"] is not None
