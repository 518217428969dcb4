"""TaylorSeer of diffusers (arXiv 2503.06923): predict what attention and feed-forward give."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import Field

from sraccel.plugin import AcceleratorOptions, Denoiser
from sraccel_diffusers_caches.base import DiffusersCache

PARTS = re.compile(r".*(attn|ff).*")


class TaylorSeer(DiffusersCache):
    """Diffusers' TaylorSeer: every n-th step is computed, the others are predicted."""

    name = "diffusers-taylorseer"

    class Options(AcceleratorOptions):
        """Options of `TaylorSeerCacheConfig`."""

        every: int = Field(5, ge=1, description="Compute every n-th step; 1 predicts nothing.")
        warm_up: int = Field(3, ge=1, description="So many first steps are always computed.")
        order: int = Field(1, ge=0, description="Of the prediction.")
        dtype: Literal["bfloat16", "float16", "float32"] = Field(
            "bfloat16", description="In which what was computed is kept."
        )
        lite: bool = Field(
            False, description="Predict the model's output alone, and none of its parts."
        )
        modules: list[str] | None = Field(
            None, description="Regular expressions of the modules' names; none: found by sraccel."
        )

    options: Options

    def config(self, denoiser: Denoiser) -> Any:
        import torch
        from diffusers import TaylorSeerCacheConfig

        given = self.options
        return TaylorSeerCacheConfig(
            cache_interval=given.every,
            disable_cache_before_step=given.warm_up,
            max_order=given.order,
            taylor_factors_dtype=getattr(torch, given.dtype),
            use_lite_mode=given.lite,
            cache_identifiers=None if given.lite else given.modules or found(denoiser),
        )


def found(denoiser: Denoiser) -> list[str]:
    """Names of the blocks' attention and feed-forward modules, as regular expressions.

    Diffusers' own patterns (`^blocks.*attn`, matched as a whole) find none in a Wan model, whose
    modules are called `blocks.0.attn1` and `blocks.0.ffn`, and it does not say so.
    """
    parts = {
        id(part)
        for block in denoiser.adapter.blocks(denoiser.module)
        for name, part in block.named_children()
        if PARTS.fullmatch(name) and any(True for _ in part.parameters())
    }
    return [re.escape(name) for name, one in denoiser.module.named_modules() if id(one) in parts]
