"""What acts on whole calls: caches of the output, of guidance, and two models in one step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sraccel.plugin import Accelerator, Call, Run, Step, hookimpl

if TYPE_CHECKING:
    import torch


class EasyCacheRule(Accelerator):
    """Skips while the output can hardly have changed (arXiv 2507.02860); the first branch decides.

    How much the output changes for a change of the input is measured between computed steps.
    """

    name = "easycache"
    scope = "first"

    def __init__(self, threshold: float, warm_up: int = 2) -> None:
        super().__init__()
        self.threshold, self.warm_up = threshold, warm_up

    @hookimpl
    def skip_call(self, call: Call) -> bool:
        state: dict[str, torch.Tensor] = call.memory(self, dict)
        current, before = call.model_input, state.get("input")
        state["input"] = current.clone()
        if before is None or "rate" not in state or call.step.solver_step < self.warm_up:
            return False
        change = (current - before).abs().mean() * state["rate"] / state["size"]
        state["accumulated"] = state.get("accumulated", 0.0) + change
        return bool(state["accumulated"] < self.threshold)

    @hookimpl
    def denoiser_called(self, call: Call, output: torch.Tensor) -> None:
        if not call.computed:
            return
        state: dict[str, torch.Tensor] = call.memory(self, dict)
        if "output" in state:
            moved = (call.model_input - state["computed_at"]).abs().mean()
            state["rate"] = (output - state["output"]).abs().mean() / moved
        state["output"], state["computed_at"] = output.clone(), call.model_input.clone()
        state["size"], state["accumulated"] = output.abs().mean(), output.new_zeros(())


class KeepsDifference(Accelerator):
    """EasyCache's predictor: the output is the input and what the model last added to it."""

    name = "keeps-difference"

    def history_value(self, call: Call, value: torch.Tensor) -> torch.Tensor:
        return value - call.model_input

    @hookimpl
    def predict(self, call: Call) -> torch.Tensor:
        return call.model_input + call.history[-1].value


class GuidanceCache(Accelerator):
    """Answers the unconditional branch by the other one and their last difference."""

    name = "guidance-cache"
    claims = frozenset({"guidance"})

    def __init__(self, every: int) -> None:
        super().__init__()
        self.every = every
        self._forget()

    def _forget(self) -> None:
        self._conditional: torch.Tensor | None = None
        self._difference: torch.Tensor | None = None

    @hookimpl
    def run_started(self, run: Run) -> None:
        self._forget()

    @hookimpl
    def denoiser_switched(self) -> None:
        self._difference = None

    @hookimpl
    def answer_call(self, call: Call) -> torch.Tensor | None:
        computes = call.step.solver_step % self.every == 0
        if call.branch != "uncond" or computes or self._difference is None:
            return None
        assert self._conditional is not None
        return self._conditional + self._difference

    @hookimpl
    def denoiser_called(self, call: Call, output: torch.Tensor) -> None:
        if call.branch == "cond":
            self._conditional = output.clone()
        elif call.answered_by is None and self._conditional is not None:
            self._difference = output - self._conditional


class HybridStitch(Accelerator):
    """In some steps the large model takes one half of the picture and the small one the other."""

    name = "hybrid-stitch"

    def __init__(self, steps: range) -> None:
        super().__init__()
        self.steps = steps

    @hookimpl
    def answer_call(self, call: Call) -> torch.Tensor | None:
        if call.step.solver_step not in self.steps:
            return None
        stitched = call.evaluate("transformer").clone()
        half = stitched.shape[-1] // 2
        stitched[..., half:] = call.evaluate("render")[..., half:]
        return stitched


class Steps(Accelerator):
    """Takes some of the noise levels that were asked for, and a new one between two of them."""

    name = "placed-steps"

    def __init__(self, positions: list[int] | None, between: int | None = None) -> None:
        super().__init__()
        self.positions, self.between = positions, between
        self.seen: list[Step] = []

    @hookimpl
    def plan_steps(self, plan):
        if self.positions is None:
            return None
        levels = [plan.sigmas[position] for position in self.positions]
        if self.between is not None:
            levels.append((plan.sigmas[self.between] + plan.sigmas[self.between + 1]) / 2)
        return sorted(levels, reverse=True)
