"""SRDiffusion in the render pipeline's call: that it begins where the sketch stopped."""

from __future__ import annotations

import time

from sraccel.accelerators.srdiffusion import RENDER
from sraccel.plugin import Accelerator, AcceleratorOptions, LoopError, Run, Step, hookimpl


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
        pipeline = run.stack.pipeline
        begin = len(pipeline.scheduler.timesteps) - run.num_inference_steps
        expected = self.first_step * getattr(pipeline.scheduler, "order", 1)
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
