"""Reuse of what guidance adds: FasterCache's CFG-Cache (arXiv 2410.19355) without its spectrum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import Field

from sraccel.plugin import Accelerator, Call, Run, hookimpl
from sraccel_guidance.conditional import Conditional, GuidanceOptions

if TYPE_CHECKING:
    import torch


@dataclass
class Difference:
    """Of one guidance branch: conditional minus this branch, at the last computed step."""

    value: Any = None
    step: int = -1

    @property
    def nbytes(self) -> int:
        """How much memory the tensor takes."""
        return 0 if self.value is None else int(self.value.nbytes)


class GuidanceCache(Accelerator):
    """Computes the other branch every n-th step; in between it reuses the difference."""

    name = "guidance-cache"
    claims = frozenset({"guidance"})

    class Options(GuidanceOptions):
        """Options of the cache."""

        every: int = Field(2, ge=1, description="Compute every n-th step; 1 reuses nothing.")
        start: float = Field(
            0.2, ge=0, le=1, description="Reuse from this share of the run's steps on."
        )

    options: Options

    @hookimpl
    def run_started(self, run: Run) -> None:
        self._conditional = Conditional(self.options.conditional)

    @hookimpl
    def answer_call(self, call: Call) -> torch.Tensor | None:
        prediction, step = self._conditional.of(call), call.step
        if prediction is None:
            return None
        kept: Difference = call.memory(self, Difference)
        early = step.solver_step < self.options.start * step.run.num_solver_steps
        if early or kept.value is None or step.solver_step - kept.step >= self.options.every:
            return None
        answer: torch.Tensor = prediction - kept.value
        return answer

    @hookimpl
    def denoiser_called(self, call: Call, output: torch.Tensor) -> None:
        if self._conditional.see(call, output) or call.answered_by == self.name:
            return
        prediction = self._conditional.of(call)
        if prediction is not None:
            kept: Difference = call.memory(self, Difference)
            kept.value, kept.step = prediction - output, call.step.solver_step

    @hookimpl
    def run_finished(self, run: Run) -> None:
        self._conditional.end(run, self)
