"""SRDiffusion in the sketch pipeline's call: when to stop, and what is handed over then."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sraccel.accelerators.srdiffusion import COLUMNS, SwitchDetector
from sraccel.plugin import (
    Accelerator,
    AcceleratorOptions,
    NoiseSpace,
    Run,
    Step,
    hookimpl,
    scheduled_levels,
    scheduled_sigma,
)

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Sketch:
    """What the sketch pipeline hands over.

    Attributes:
        clean: the clean latents that the last guided prediction implies; the pipeline's own shape.
        levels: signal and noise level that the latents would have had in the next step.
    """

    clean: torch.Tensor
    levels: tuple[float, float]


class Sketching(Accelerator):
    """In the sketch pipeline's call: decides as SRDiffusion does, and ends the run at the switch.

    Attributes:
        sketch: what to hand over; None before the switch.
        ended: `time.perf_counter()` at the end of the run.
    """

    name = "srdiffusion"
    columns = COLUMNS

    def __init__(self, options: AcceleratorOptions) -> None:
        super().__init__(options)
        self._detector = SwitchDetector(self.options)
        self._begin = 0  # of the run, in the scheduler's timesteps
        self.sketch: Sketch | None = None
        self.ended = 0.0

    @hookimpl
    def run_started(self, run: Run) -> None:
        self._detector = SwitchDetector(self.options)
        self._begin = len(run.stack.pipeline.scheduler.timesteps) - run.num_inference_steps
        self.sketch = None

    @hookimpl
    def select_denoiser(self, step: Step) -> str | None:
        """Nothing to choose; caches that wait for a switch look for this hook."""
        return None

    @hookimpl
    def denoiser_switched(self, step: Step, previous: str, current: str) -> None:
        self._detector.restart()

    @hookimpl
    def step_finished(self, step: Step) -> None:
        self._detector.measure(step, self)
        last = step.index + 1 >= step.run.num_inference_steps
        if not last and self._render_is_next(step):
            self.sketch = self._sketch(step)
            step.run.stop_after(step, self)

    def _sketch(self, step: Step) -> Sketch:
        scheduler, position = step.run.stack.pipeline.scheduler, self._begin + step.index
        space = step.run.stack.own.noise_space
        assert space is not None  # checked before the run
        levels = scheduled_levels(scheduler, space.schedule, position + 1)
        return Sketch(_clean(step, scheduler, space, position), levels)

    def _render_is_next(self, step: Step) -> bool:
        """Whether the step after this one is the render model's."""
        stack = step.run.stack
        space = stack.own.noise_space
        sigma = scheduled_sigma(stack.pipeline.scheduler, space, self._begin + step.index + 1)
        return self._detector.render_takes(step.index + 1, sigma)

    @hookimpl
    def run_finished(self, run: Run) -> None:
        run.note(self, switch_rule=self._detector.rule)
        self.ended = time.perf_counter()


def _clean(step: Step, scheduler: Any, space: NoiseSpace, position: int) -> torch.Tensor:
    """The clean latents that a step's guided prediction implies, in the latents' dtype."""
    assert step.latents is not None
    assert step.noise_pred is not None
    model_input = step.latents
    if hasattr(scheduler, "scale_model_input"):
        model_input = scheduler.scale_model_input(model_input, scheduler.timesteps[position])
    timestep = space.schedule.timestep(*scheduled_levels(scheduler, space.schedule, position))
    clean: torch.Tensor = space.clean(model_input.float(), step.noise_pred.float(), timestep)
    return clean.to(step.latents.dtype)
