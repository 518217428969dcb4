"""Sequence parallelism on the CPU, one layer below diffusers' `enable_parallelism`.

That asks torch for an accelerator and refuses a machine without one; what it does then is done here
with a mesh of CPU processes: the same configuration, hooks and attention. diffusers has no plan for
CogVideoX and its attention does not ask for one, so both are here: keys and values of the video are
gathered, queries stay where they are, and the text is on every rank.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from diffusers import ContextParallelConfig, ParallelConfig
from diffusers.hooks.context_parallel import apply_context_parallel
from diffusers.models._modeling_parallel import ContextParallelInput, ContextParallelOutput
from diffusers.models.embeddings import apply_rotary_emb
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.nn.functional import all_gather
from torch.nn import functional

COGVIDEOX_PLAN = {
    "transformer_blocks.0": {"hidden_states": ContextParallelInput(split_dim=1, expected_dims=3)},
    "proj_out": ContextParallelOutput(gather_dim=1, expected_dims=3),
}


def over_all_ranks(kind: str = "cpu") -> ParallelConfig:
    """Ulysses parallelism over all processes."""
    size = dist.get_world_size()
    config = ParallelConfig(context_parallel_config=ContextParallelConfig(ulysses_degree=size))
    mesh = init_device_mesh(kind, (1, size), mesh_dim_names=("ring", "ulysses"))
    config.setup(dist.get_rank(), size, torch.device(kind), mesh=mesh)
    return config


def share_sequence(model: Any, config: ParallelConfig) -> Any:
    """Split a model's sequence over the ranks; returns the model."""
    plan = model._cp_plan
    for module in model.modules():
        processor = getattr(module, "processor", None)
        if hasattr(processor, "_parallel_config"):
            processor._parallel_config = config
    if plan is None:
        plan = COGVIDEOX_PLAN
        model.set_attn_processor(GatheredCogVideoXAttention())
    model._parallel_config = config
    apply_context_parallel(model, config.context_parallel_config, plan)
    return model


class GatheredCogVideoXAttention:
    """CogVideoX's attention, of the queries of this rank's part of the video and of the text."""

    def __call__(
        self,
        attn: Any,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        image_rotary_emb: tuple[torch.Tensor, torch.Tensor] | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        text = encoder_hidden_states.size(1)
        joined = torch.cat([encoder_hidden_states, hidden_states], dim=1)
        query, key, value = (
            layer(joined).unflatten(2, (attn.heads, -1)).transpose(1, 2)
            for layer in (attn.to_q, attn.to_k, attn.to_v)
        )
        query, key = attn.norm_q(query), attn.norm_k(key)
        if image_rotary_emb is not None:
            rank, size = dist.get_rank(), dist.get_world_size()
            mine = tuple(part.chunk(size)[rank] for part in image_rotary_emb)
            query[:, :, text:] = apply_rotary_emb(query[:, :, text:], mine)
            key[:, :, text:] = apply_rotary_emb(key[:, :, text:], mine)
        key, value = (
            torch.cat([part[:, :, :text], *all_gather(part[:, :, text:].contiguous())], dim=2)
            for part in (key, value)
        )
        out = functional.scaled_dot_product_attention(query, key, value)
        out = attn.to_out[1](attn.to_out[0](out.transpose(1, 2).flatten(2)))
        return out[:, text:], out[:, :text]
