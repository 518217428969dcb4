"""SRDiffusion as an accelerator: what it does in each hook."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sraccel.accelerators.srdiffusion.forecast import forecast_of
from sraccel.accelerators.srdiffusion.lora import check_lora
from sraccel.accelerators.srdiffusion.options import SRDiffusionOptions
from sraccel.accelerators.srdiffusion.render_model import RENDER, bring_render_model
from sraccel.accelerators.srdiffusion.residency import RESIDENTS, Residents
from sraccel.accelerators.srdiffusion.switching import COLUMNS, SwitchDetector
from sraccel.plugin import (
    Accelerator,
    AcceleratorOptions,
    Contribution,
    FlowSchedule,
    Forecast,
    LoopError,
    NoiseSpace,
    Run,
    Stack,
    Step,
    hookimpl,
)

PLAIN_FLOW = NoiseSpace(FlowSchedule(), "flow_prediction")
PREFETCHED_STEPS = 2
"""How many steps before a fixed switch the render model's copy begins."""


class SRDiffusion(Accelerator):
    """Lets the pipeline's large model take the high-noise steps and a small one the rest."""

    name = "srdiffusion"
    columns = COLUMNS

    class Options(SRDiffusionOptions):
        """Options of SRDiffusion."""

    options: Options

    def __init__(self, options: AcceleratorOptions) -> None:
        super().__init__(options)
        self._detector = SwitchDetector(self.options)
        self._residents = Residents((), None)

    @hookimpl
    def contribute_denoisers(self, stack: Stack) -> Mapping[str, Contribution]:
        own = [denoiser.module for denoiser in stack.denoisers.values()]
        self._residents = RESIDENTS[self.options.residency](own, stack.pipeline)
        placement = self._residents.placement
        return {RENDER: bring_render_model(self.options, stack, placement)}

    @hookimpl
    def check_stack(self, stack: Stack) -> None:
        check_lora(stack, stack.denoisers[RENDER].module, self.options.render_lora)

    def forecast(self, stack: Stack, num_inference_steps: int) -> Forecast:
        """How many steps the render model takes."""
        return forecast_of(self.options, stack, num_inference_steps)

    @hookimpl
    def run_started(self, run: Run) -> None:
        self.check_stack(run.stack)  # LoRAs may have come since
        self._detector = SwitchDetector(self.options)
        if _guessed_noise_space(run.stack):
            run.warn(
                "srdiffusion: what the noise levels of the pipeline's model mean is not known here "
                "(a bare denoiser), so the render model was called as if they were its own: give "
                "compose(..., noise_space=...)"
            )
        if _beyond(self.options.switch_step, run) or _beyond(self.options.min_step, run):
            run.warn(
                f"srdiffusion: the earliest switch lies beyond the run's "
                f"{run.num_solver_steps} steps, so the render model is never used"
            )

    def decided(self) -> Mapping[str, Any]:
        return {"switched": self._detector.switched, "rule": self._detector.rule}

    def go_on(self, decided: Mapping[str, Any]) -> None:
        self._detector.switched, self._detector.rule = decided["switched"], decided["rule"]

    @hookimpl
    def select_denoiser(self, step: Step) -> str | None:
        if not self._detector.render_takes(step.solver_step, step.sigma):
            return None
        previous = step.run.previous_step
        if previous is None or previous.denoiser is None:  # then no switch will be noticed
            self._residents.switched()
        return RENDER

    @hookimpl
    def denoiser_switched(self, step: Step, previous: str, current: str) -> None:
        self._detector.restart()
        if current == RENDER:  # not before: another rank's choice may be the one that holds
            self._residents.switched()

    @hookimpl
    def step_finished(self, step: Step) -> None:
        if step.denoiser == RENDER or step.evaluation:
            return
        if step.noise_pred is None:
            if self.options.adaptive:
                raise LoopError(
                    "srdiffusion decides by the guided prediction: call "
                    "`step.finish(noise_pred, latents)` in your loop, or fix `switch_step`"
                )
        else:
            self._detector.measure(step, self)
        if step.solver_step + 1 >= self._earliest_switch() - PREFETCHED_STEPS:
            self._residents.switch_may_come()

    def _earliest_switch(self) -> int:
        fixed = self.options.switch_step
        return fixed if fixed is not None else self.options.min_step + 1

    @hookimpl
    def run_finished(self, run: Run) -> None:
        self._residents.run_finished()
        run.note(self, **self._detector.notes())


def _guessed_noise_space(stack: Stack) -> bool:
    """Whether a conversion may be needed, and the pipeline's side of it is not known."""
    own, brought = stack.own.noise_space, stack.contributions[RENDER].noise_space
    return own is None and brought is not None and brought != PLAIN_FLOW


def _beyond(step: int | None, run: Run) -> bool:
    return step is not None and step >= run.num_solver_steps
