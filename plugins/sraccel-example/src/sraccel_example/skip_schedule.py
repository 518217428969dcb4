"""An accelerator that skips steps by a fixed schedule: a template for your own."""

from __future__ import annotations

from pydantic import Field

from sraccel.plugin import Accelerator, Call, RuleOptions, hookimpl


class SkipSchedule(Accelerator):
    """Computes every n-th step and reuses its residual in between."""

    name = "skip-schedule"

    class Options(RuleOptions):
        """Options of the schedule."""

        every: int = Field(2, ge=1, description="Compute every n-th step; 1 skips nothing.")
        warm_up: int = Field(4, ge=0, description="Always compute this many first steps.")

    options: Options

    @hookimpl
    def skip_blocks(self, call: Call) -> bool:
        index = call.step.solver_step
        return index >= self.options.warm_up and index % self.options.every != 0
