"""DBCache (Dual Block Cache) and its calibrators, through cache-dit's public interface."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from sraccel.plugin import (
    Accelerator,
    AcceleratorOptions,
    Call,
    Claim,
    Denoiser,
    ModelError,
    Run,
    Stack,
    Step,
    hookimpl,
)
from sraccel_cache_dit.blocks import CountedBlocks, restored

if TYPE_CHECKING:
    import torch


class DBCache(Accelerator):
    """cache-dit's DBCache: skips the blocks between the first and the last ones."""

    name = "cache-dit"
    # It tells guidance branches apart by counting calls, so none may be left out.
    claims = frozenset({"rule", "predictor", "guidance", Claim("blocks", shared=True)})
    requires = ("cache-dit>=1.5.3",)

    class Options(AcceleratorOptions):
        """Options of `DBCacheConfig`, and of a calibrator."""

        first: int = Field(1, ge=1, description="So many first blocks always run (cache-dit: 8).")
        last: int = Field(0, ge=0, description="So many last blocks always run.")
        threshold: float = Field(
            0.08, ge=0, allow_inf_nan=False, description="Skip while their change is below this."
        )
        warm_up: int = Field(8, ge=0, description="So many first steps of a model are computed.")
        max_in_a_row: int = Field(-1, ge=-1, description="Steps skipped in a row; -1: no limit.")
        calibrator: Literal["none", "taylorseer", "foca", "dmd"] = Field(
            "none",
            description="What predicts: the last value; a Taylor series; FoCa's formula, forecast "
            "and corrected; exponentials, by dynamic mode decomposition.",
        )
        order: int = Field(1, ge=1, description="Of the Taylor series.")
        history: int = Field(6, ge=4, description="Computed steps that `dmd` fits.")

    options: Options

    def __init__(self, options: AcceleratorOptions | None = None) -> None:
        super().__init__(options)
        self._blocks: dict[str, CountedBlocks] = {}

    @hookimpl
    def check_stack(self, stack: Stack) -> None:
        always = self.options.first + self.options.last
        for role, denoiser in stack.denoisers.items():
            number = len(denoiser.adapter.blocks(denoiser.module))
            if always >= number:
                raise ModelError(
                    f"cache-dit: first + last are {always} blocks that always run, and the "
                    f"denoiser {role!r} has {number}: nothing could be skipped; lower them"
                )
        self._stack = stack

    @hookimpl
    @contextmanager
    def prepare_denoiser(self, denoiser: Denoiser) -> Iterator[None]:
        blocks = self._blocks[denoiser.role] = CountedBlocks(denoiser)
        with restored(denoiser), blocks.counted():
            try:
                yield
            finally:
                self._take_off(denoiser.module)

    @hookimpl
    def run_started(self, run: Run) -> None:
        for denoiser in self._stack.denoisers.values():
            self._put_on(denoiser.module)

    @hookimpl
    def denoiser_switched(self, step: Step, previous: str, current: str) -> None:
        for role in (previous, current):
            self._put_on(self._stack.denoisers[role].module)

    def _put_on(self, module: Any) -> None:
        """Anew, since its state belongs to a model's part of a run."""
        import cache_dit

        self._take_off(module)
        given = self.options
        config = cache_dit.DBCacheConfig(
            Fn_compute_blocks=given.first,
            Bn_compute_blocks=given.last,
            residual_diff_threshold=given.threshold,
            max_warmup_steps=given.warm_up,
            max_continuous_cached_steps=given.max_in_a_row,
            enable_separate_cfg=None if self._guides else False,
        )
        cache_dit.enable_cache(module, cache_config=config, calibrator_config=self._calibrator())

    def _calibrator(self) -> Any:
        """The configuration of what predicts; None: the last value stands in."""
        import cache_dit

        given = self.options
        if given.calibrator == "taylorseer":
            return cache_dit.TaylorSeerCalibratorConfig(taylorseer_order=given.order)
        if given.calibrator == "dmd":
            return cache_dit.DMDCalibratorConfig(dmd_history=given.history)
        return cache_dit.FoCaCalibratorConfig() if given.calibrator == "foca" else None

    @property
    def _guides(self) -> bool:
        """Whether the pipeline guides; a bare denoiser is taken to be called as the family is."""
        return bool(getattr(self._stack.pipeline, "do_classifier_free_guidance", True))

    def _take_off(self, module: Any) -> None:
        import cache_dit

        if getattr(module, "_is_cached", False):
            cache_dit.disable_cache(module)

    @hookimpl
    def denoiser_called(self, call: Call, output: torch.Tensor) -> None:
        if call.answered_by is None and call.reused_by is None:
            share = self._blocks[call.denoiser.role].left_out()
            if share:
                call.skipped(self, share=share)

    @hookimpl
    def run_finished(self, run: Run) -> None:
        for denoiser in self._stack.denoisers.values():
            self._take_off(denoiser.module)
        calls = [call for step in run.steps for call in step.calls]
        if not any(self.name in call.skips for call in calls):
            run.warn(f"cache-dit skipped nothing in {len(run.steps)} steps")
