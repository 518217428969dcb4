"""Adaptive guidance (Castillo et al., arXiv 2312.12487): stop guiding once it changes little."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import Field

from sraccel.plugin import Accelerator, Call, Column, Run, hookimpl
from sraccel_guidance.conditional import Conditional, GuidanceOptions

if TYPE_CHECKING:
    import torch


class AdaptiveGuidance(Accelerator):
    """Guides until both predictions point the same way; from then on the conditional one alone."""

    name = "adaptive-guidance"
    claims = frozenset({"guidance"})
    columns = {
        "similarity": Column(
            "similarity of the branches",
            "cosine of the angle between the conditional and the other prediction",
        )
    }

    class Options(GuidanceOptions):
        """Options of adaptive guidance."""

        threshold: float = Field(
            0.991,
            ge=-1,
            description="Stop guiding once the cosine similarity exceeds this; 1 or more: never.",
        )

    options: Options

    @hookimpl
    def run_started(self, run: Run) -> None:
        self._conditional = Conditional(self.options.conditional)
        self._stopped: int | None = None

    @hookimpl
    def answer_call(self, call: Call) -> torch.Tensor | None:
        prediction = self._conditional.of(call)
        stopped = self._stopped is not None and call.step.solver_step >= self._stopped
        return prediction if stopped else None

    @hookimpl
    def denoiser_called(self, call: Call, output: torch.Tensor) -> None:
        if self._conditional.see(call, output) or call.answered_by == self.name:
            return
        prediction = self._conditional.of(call)
        if prediction is None or self.options.threshold >= 1:
            return
        similarity = cosine(prediction, output)
        call.step.measure(self, similarity=similarity)
        if similarity > self.options.threshold and self._stopped is None:
            self._stopped = call.step.solver_step + 1
            call.step.run.note(self, last_guided_step=call.step.solver_step)

    @hookimpl
    def run_finished(self, run: Run) -> None:
        self._conditional.end(run, self)

    def decided(self) -> Mapping[str, Any]:
        """From which step on it no longer guides."""
        return {"stopped": self._stopped}

    def go_on(self, decided: Mapping[str, Any]) -> None:
        """Go on without guidance, where that was decided."""
        self._stopped = decided["stopped"]


def cosine(one: torch.Tensor, other: torch.Tensor) -> float:
    """Cosine of the angle between two tensors of one shape, each taken as one vector."""
    from torch.nn.functional import cosine_similarity

    return float(cosine_similarity(one.flatten().float(), other.flatten().float(), dim=0))
