"""SRDiffusion in a hand-off: its options, and what acts in its place in either pipeline's call."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sraccel.accelerators.srdiffusion import COLUMNS, RENDER, SwitchDetector
from sraccel.errors import ConflictError
from sraccel.plugin import (
    Accelerator,
    AcceleratorOptions,
    LoopError,
    Run,
    Step,
    clean_latents,
    first_position,
    hookimpl,
    scheduled_levels,
    scheduled_sigma,
)
from sraccel.recipe.recipe import Recipe
from sraccel.reencode.late_start import order_of

if TYPE_CHECKING:
    import torch

SRDIFFUSION = "srdiffusion"
OF_ONE_PIPELINE = {"residency", "render_lora"}
"""Options of srdiffusion that say what becomes of a render model inside one pipeline's loop."""


def switch_options(recipe: Recipe) -> AcceleratorOptions:
    """The options of the recipe's srdiffusion.

    Raises:
        ConflictError: it has none, or they cannot be meant for two pipelines.
    """
    options: Any = next((item for item in recipe.accelerators if item.use == SRDIFFUSION), None)
    if options is None:
        raise _conflict(
            f"a hand-off between two pipelines takes srdiffusion, which decides the switch; "
            f"{recipe!r} has none"
        )
    if options.switch_step == 0:
        raise _conflict(
            "srdiffusion: `switch_step: 0` leaves the sketch pipeline nothing to do; call the "
            "render pipeline alone"
        )
    if unused := sorted(OF_ONE_PIPELINE & options.model_fields_set):
        raise _conflict(
            f"srdiffusion: {', '.join(unused)} would have no effect on a hand-off between two "
            f"pipelines, which are loaded, placed and offloaded each by itself: leave it out"
        )
    found: AcceleratorOptions = options
    return found


def switching_at_once(recipe: Recipe) -> Recipe:
    """The recipe, with the switch after the first step: a few steps then run both models."""
    at_once = {"switch_step": 1, "switch_sigma": None}
    items = [
        item.model_copy(update=at_once) if item.use == SRDIFFUSION else item
        for item in recipe.accelerators
    ]
    return recipe.model_copy(update={"accelerators": items})


def _conflict(message: str) -> ConflictError:
    return ConflictError(message, accelerators=[SRDIFFUSION])


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
        self._begin = 0
        self.sketch: Sketch | None = None
        self.ended = 0.0

    @hookimpl
    def run_started(self, run: Run) -> None:
        self._detector = SwitchDetector(self.options)
        self._begin = first_position(run)
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
        return Sketch(clean_latents(step), levels)

    def _render_is_next(self, step: Step) -> bool:
        """Whether the step after this one is the render model's."""
        stack = step.run.stack
        space = stack.own.noise_space
        sigma = scheduled_sigma(stack.pipeline.scheduler, space, self._begin + step.index + 1)
        return self._detector.render_takes(step.index + 1, sigma)

    @hookimpl
    def run_finished(self, run: Run) -> None:
        run.note(self, **self._detector.notes())
        self.ended = time.perf_counter()


class Rendering(Accelerator):
    """In the render pipeline's call: checks that it begins where it should.

    Attributes:
        first_step: where in its schedule the pipeline is to begin.
        started: `time.perf_counter()` at the start of the run; None before it.
    """

    name = "srdiffusion"

    def __init__(self, options: AcceleratorOptions) -> None:
        super().__init__(options)
        self.first_step = 0
        self.started: float | None = None

    @hookimpl
    def run_started(self, run: Run) -> None:
        pipeline, begin = run.stack.pipeline, first_position(run)
        expected = self.first_step * order_of(pipeline.scheduler)
        if begin != expected:
            raise LoopError(
                f"{type(pipeline).__name__} begins at position {begin} of its schedule, where the "
                f"hand-off needs {expected}: sraccel cannot use it for this hand-off"
            )
        run.clock.settle()  # encoding may still be under way
        self.started = time.perf_counter()

    @hookimpl
    def select_denoiser(self, step: Step) -> str:
        return RENDER
