"""An accelerator that skips steps by a fixed schedule: a template for your own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from sraccel.plugin import Accelerator, AcceleratorOptions, Call, hookimpl

if TYPE_CHECKING:
    import torch


class SkipSchedule(Accelerator):
    """Computes every n-th step and reuses its residual in between."""

    name = "skip-schedule"

    class Options(AcceleratorOptions):
        """Options of the schedule."""

        every: int = Field(2, ge=1, description="Compute every n-th step; 1 skips nothing.")
        warm_up: int = Field(4, ge=0, description="Always compute this many first steps.")

    options: Options

    @hookimpl
    def reuse_residual(self, call: Call) -> torch.Tensor | None:
        last: list[torch.Tensor] = call.memory(self, list)  # empty after a model switch
        index = call.step.index
        computes = index < self.options.warm_up or index % self.options.every == 0
        return None if computes or not last else last[0]

    @hookimpl
    def residual_computed(self, call: Call, residual: torch.Tensor) -> None:
        last: list[torch.Tensor] = call.memory(self, list)
        last[:] = [residual]
