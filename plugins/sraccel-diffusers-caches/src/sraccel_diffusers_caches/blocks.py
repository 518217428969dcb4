"""Caches that skip blocks: FirstBlockCache, MagCache and SeaCache of diffusers."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from sraccel.plugin import AcceleratorOptions, Call, Denoiser, ModelError, Stack, hookimpl
from sraccel_diffusers_caches.base import DiffusersCache

Ratio = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Threshold = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class FirstBlockCache(DiffusersCache):
    """Diffusers' FirstBlockCache: skip the other blocks while the first one adds the same."""

    name = "diffusers-firstblock"

    class Options(AcceleratorOptions):
        """Options of `FirstBlockCacheConfig`."""

        threshold: Threshold = Field(0.05, description="Skip while its change is at most this.")

    options: Options

    @hookimpl
    def check_stack(self, stack: Stack) -> None:
        super().check_stack(stack)
        for role, denoiser in stack.denoisers.items():
            if len(denoiser.adapter.blocks(denoiser.module)) < 2:
                raise ModelError(
                    f"{self.name} needs two blocks at least, and the denoiser {role!r} has one"
                )

    def config(self, denoiser: Denoiser) -> Any:
        from diffusers import FirstBlockCacheConfig

        return FirstBlockCacheConfig(threshold=self.options.threshold)


class MagCache(DiffusersCache):
    """Diffusers' MagCache: skip while known ratios of the residual's magnitude stay near 1."""

    name = "diffusers-magcache"

    class Options(AcceleratorOptions):
        """Options of `MagCacheConfig`."""

        ratios: list[Ratio] = Field(
            min_length=1,
            description="Magnitude of the residual over that of the step before, a value a step; "
            "measured by `MagCacheConfig(calibrate=True)`.",
        )
        threshold: Threshold = Field(0.06, description="Skip while the error is at most this.")
        max_skips: int = Field(3, ge=1, description="Steps skipped in a row, at most.")
        retention: float = Field(0.2, ge=0, le=1, description="Share of first steps computed.")

        @classmethod
        def example(cls) -> dict[str, object]:
            """Ratios near 1, which are no model's."""
            return {"ratios": [1.0, 1.01, 1.0, 0.99, 0.98]}

    options: Options

    def config(self, denoiser: Denoiser) -> Any:
        from diffusers import MagCacheConfig

        return MagCacheConfig(
            threshold=self.options.threshold,
            max_skip_steps=self.options.max_skips,
            retention_ratio=self.options.retention,
            num_inference_steps=self._run.num_solver_steps if self._run else 1,
            mag_ratios=self.options.ratios,
        )

    def enter_call(self, denoiser: Denoiser, call: Call | None) -> None:
        """Diffusers counts a model's calls; behind a switch these are not the run's steps."""
        block = denoiser.adapter.blocks(denoiser.module)[0]
        hook = block._diffusers_hook.get_hook("mag_cache_leader_block_hook")
        if call is not None:
            hook.state_manager.get_state().step_index = call.step.solver_step


class SeaCache(DiffusersCache):
    """Diffusers' SeaCache: skip while the signal in the noisy latents changes little."""

    name = "diffusers-seacache"

    class Options(AcceleratorOptions):
        """Options of `SeaCacheConfig`."""

        threshold: Threshold = Field(0.25, description="Skip while the change is below this.")
        order: int = Field(1, ge=0, le=1, description="0: reuse the residual; 1: extrapolate it.")
        max_skips: int = Field(2, ge=0, description="Steps skipped in a row, at most; 0: any.")
        first: int = Field(1, ge=0, description="So many first steps are always computed.")
        last: int = Field(1, ge=0, description="So many last steps are always computed.")

    options: Options

    def config(self, denoiser: Denoiser) -> Any:
        from diffusers import SeaCacheConfig

        return SeaCacheConfig(
            threshold=self.options.threshold,
            residual_order=self.options.order,
            max_consecutive_cached=self.options.max_skips,
            retention_steps=self.options.first,
            cache_end_steps=self.options.last,
        )
