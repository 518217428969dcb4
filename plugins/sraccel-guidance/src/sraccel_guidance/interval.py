"""Guidance in a limited interval (Kynkäänniemi et al., arXiv 2404.07724)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from pydantic import Field, model_validator

from sraccel.plugin import Accelerator, Call, Run, hookimpl
from sraccel_guidance.conditional import Conditional, GuidanceOptions

if TYPE_CHECKING:
    import torch


class GuidanceInterval(Accelerator):
    """Guides in a part of the run only; outside it the conditional prediction stands alone."""

    name = "guidance-interval"
    claims = frozenset({"guidance"})

    class Options(GuidanceOptions):
        """Options of the interval."""

        start: float = Field(
            0.0, ge=0, le=1, description="Guide from this share of the run's steps on."
        )
        stop: float = Field(0.8, ge=0, le=1, description="And up to this one.")

        @model_validator(mode="after")
        def _in_order(self) -> Self:
            if self.start > self.stop:
                raise ValueError(f"start ({self.start}) lies behind stop ({self.stop})")
            return self

    options: Options

    @hookimpl
    def run_started(self, run: Run) -> None:
        self._conditional = Conditional(self.options.conditional)
        steps = run.num_solver_steps
        self._guided = range(round(self.options.start * steps), round(self.options.stop * steps))
        run.note(self, guided_steps=len(self._guided), of_steps=steps)

    @hookimpl
    def answer_call(self, call: Call) -> torch.Tensor | None:
        prediction = self._conditional.of(call)
        return None if call.step.solver_step in self._guided else prediction

    @hookimpl
    def denoiser_called(self, call: Call, output: torch.Tensor) -> None:
        self._conditional.see(call, output)

    @hookimpl
    def run_finished(self, run: Run) -> None:
        self._conditional.end(run, self)
