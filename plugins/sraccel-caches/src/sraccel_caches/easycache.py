"""EasyCache (Zhou et al., arXiv 2507.02860): skip while the output can hardly have changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from sraccel.plugin import Accelerator, Call, RuleOptions, Scope, Tunable, hookimpl, mean

if TYPE_CHECKING:
    import torch


@dataclass
class Watched:
    """Of one guidance branch.

    Attributes:
        model_input: of the step before, skipped or not.
        computed_input, output: of the last computed step.
        rate: change of the output over change of the input, between the last two computed steps.
        accumulated: expected relative change of the output since the last computed step.
    """

    model_input: torch.Tensor | None = None
    computed_input: torch.Tensor | None = None
    output: torch.Tensor | None = None
    rate: float | None = None
    accumulated: float = 0.0

    @property
    def nbytes(self) -> int:
        """How much memory the tensors take."""
        kept = (self.model_input, self.computed_input, self.output)
        return sum(tensor.nbytes for tensor in kept if tensor is not None)


class EasyCache(Accelerator):
    """Skips calls while the output, at the rate that it lately had, can hardly have changed."""

    name = "easycache"

    class Options(RuleOptions):
        """Options of EasyCache."""

        threshold: Annotated[float, Tunable(0.01, 0.4, log=True)] = Field(
            0.05,
            ge=0,
            allow_inf_nan=False,
            description="Skip while the accumulated relative change (a ratio) is below this.",
        )
        warm_up: Annotated[int, Tunable(2, 12)] = Field(
            10, ge=2, description="So many first steps are always computed."
        )
        scope: Scope = Field(
            "first", description="The `first` branch decides for all, as published; or `each`."
        )

    options: Options

    @hookimpl
    def skip_call(self, call: Call) -> bool:
        seen, noisy = call.memory(self, Watched), call.model_input
        before, seen.model_input = seen.model_input, noisy.clone()
        if before is None or seen.rate is None or seen.output is None:
            return False
        if call.step.solver_step < self.options.warm_up or self._is_last(call):
            return False
        size = _mean(seen.output)
        seen.accumulated += seen.rate * _mean(noisy - before) / max(size, 1e-30)
        return seen.accumulated < self.options.threshold

    def _is_last(self, call: Call) -> bool:
        return call.step.solver_step == call.step.run.num_solver_steps - 1

    @hookimpl
    def denoiser_called(self, call: Call, output: torch.Tensor) -> None:
        if not call.computed:
            return
        seen, noisy = call.memory(self, Watched), call.model_input
        if seen.output is not None and seen.computed_input is not None:
            moved = _mean(noisy - seen.computed_input)
            seen.rate = _mean(output - seen.output) / max(moved, 1e-30)
        seen.output, seen.computed_input, seen.accumulated = output.clone(), noisy.clone(), 0.0

    def history_value(self, call: Call, value: torch.Tensor) -> torch.Tensor:
        """What the model added to its input."""
        return value - call.model_input

    @hookimpl
    def predict(self, call: Call) -> torch.Tensor:
        return call.model_input + call.history[-1].value


def _mean(values: torch.Tensor) -> float:
    return float(mean(values.abs()))
