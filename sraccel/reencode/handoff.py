"""`sraccel.handoff`: one video by two pipelines, whose VAEs may differ; frames go between them.

The sketch pipeline runs until SRDiffusion says to switch. The clean latents that its last guided
prediction implies are decoded by its own VAE; the render pipeline encodes the frames with its VAE,
adds noise up to the level at which the sketch stopped, and takes the remaining steps. That costs
one decoding and one encoding, and what the two VAEs lose; models that share a VAE need none of it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sraccel.accelerators.srdiffusion import RENDER
from sraccel.composer import compose
from sraccel.errors import LoopError, ModelError
from sraccel.models.arguments import check_arguments, defaults_of
from sraccel.models.step_callback import StepReport, with_progress
from sraccel.noise.space import Levels, NoiseSpace, noise_level, noise_space_of, scheduled_levels
from sraccel.recipe.recipe import Recipe
from sraccel.reencode.joined_report import joined_report
from sraccel.reencode.late_start import first_step_at, order_of, schedule_of, strength_for
from sraccel.reencode.render_call import pixels_for, render_arguments, video_to_video
from sraccel.reencode.sketch_call import SketchCall, check_stoppable
from sraccel.reencode.srdiffusion import SRDIFFUSION, Rendering, Sketch, Sketching, switch_options
from sraccel.reencode.stopwatch import timed
from sraccel.reencode.video_size import check_size, planned_size
from sraccel.report.model import HandoffRecord, Report

if TYPE_CHECKING:
    from sraccel.loop.accelerator import Accelerator
    from sraccel.loop.denoiser_adapter import DenoiserAdapter
    from sraccel.loop.stack import Stack

_log = logging.getLogger("sraccel")


@dataclass(frozen=True)
class Handoff:
    """What two pipelines made together.

    Attributes:
        output: what the render pipeline returned; the sketch pipeline, if no switch came.
        report: both runs as one, and what the hand-off cost.
        sketch_report: of the sketch pipeline's run.
        render_report: of the render pipeline's; None if no switch came.
    """

    output: Any
    report: Report
    sketch_report: Report
    render_report: Report | None

    def __repr__(self) -> str:
        return f"Handoff({self.report!r})"


def handoff(
    sketch_pipe: Any,
    render_pipe: Any,
    recipe: Any,
    *,
    render_call: Mapping[str, Any] | None = None,
    adapters: Sequence[DenoiserAdapter] = (),
    **call: Any,
) -> Handoff:
    """Let one pipeline sketch and another, whose VAE may differ, render the sketch.

    The recipe's srdiffusion decides the switch (its `render` is not used: the render pipeline is
    given); its other accelerators act in both calls. The call's `generator` makes the sketch's
    noise, then, where that left it, the noise that is added to the encoded frames, so one seed
    makes one video.

    Args:
        sketch_pipe: a diffusers pipeline that can be interrupted and takes `callback_on_step_end`.
        render_pipe: a pipeline for the same pixels. It must take frames and a `strength`, or be
            one of those for which diffusers has such a sibling (`WanPipeline`,
            `CogVideoXPipeline`, Stable Diffusion 3 and XL).
        recipe: anything that `sraccel.compose` takes, with srdiffusion in it.
        render_call: arguments that the render pipeline is to get instead of the sketch's; None
            leaves out one that it does not know.
        adapters: as for `sraccel.compose`.
        call: arguments of both pipelines' calls. A callback at the end of a step is called by both.

    Raises:
        RecipeError, ConflictError, ModelError: as `sraccel.compose`; or the recipe has no
            srdiffusion, or the pipelines do not fit each other. Nothing has run then, unless only
            the finished frames show it.
        LoopError: a pipeline did not stop, or not begin, where it should.
    """
    pair = PipelinePair(
        sketch_pipe, render_pipe, recipe, render_call=render_call, adapters=adapters, **call
    )
    return pair.run()


class PipelinePair:
    """Two pipelines and a recipe that fit each other; `run` may be called again.

    Arguments and errors as `sraccel.handoff`.

    Attributes:
        sketch_pipe: the pipeline that begins.
        sketch_stack: what is attached to it while it runs.
        logs_warnings: whether a run's warnings also go to the logger `sraccel`.
    """

    def __init__(
        self,
        sketch_pipe: Any,
        render_pipe: Any,
        recipe: Any,
        *,
        render_call: Mapping[str, Any] | None = None,
        adapters: Sequence[DenoiserAdapter] = (),
        **call: Any,
    ) -> None:
        recipe = Recipe.load(recipe)
        options = switch_options(recipe)
        check_stoppable(sketch_pipe)
        self.sketch_pipe, self._render_pipe = sketch_pipe, render_pipe
        self.logs_warnings = True
        self._renderer = video_to_video(render_pipe)
        steps = defaults_of(sketch_pipe)["num_inference_steps"]
        self._call = {"num_inference_steps": steps, **call}
        self._render_call = render_arguments(
            render_pipe, self._renderer, {**self._call, **(render_call or {})}
        )
        check_arguments(sketch_pipe, call)
        check_size(render_pipe, *planned_size(sketch_pipe, call))
        _space_of(sketch_pipe)
        self._space = _space_of(render_pipe)
        self._steps = int(self._render_call["num_inference_steps"])
        self._schedule = schedule_of(self._renderer, self._steps)
        self._sketching, self._rendering = Sketching(options), Rendering(options)
        self.sketch_stack = _stack(sketch_pipe, recipe, self._sketching, adapters)
        self._render_stack = _stack(self._renderer, recipe, self._rendering, adapters, RENDER)
        self._forget()

    def _forget(self) -> None:
        self._stacks = (self.sketch_stack, self._render_stack)
        self._reported = [len(stack.reports) for stack in self._stacks]
        self._record = HandoffRecord(kind="re-encode")
        self._warnings: list[str] = []
        self._rendering.started = None

    def run(self, report_step: StepReport | None = None) -> Handoff:
        """Run one pipeline and then the other; both report their steps."""
        self._forget()
        with self._render_stack:
            pass  # attaching may refuse: then before the sketch
        pipe, stack = self.sketch_pipe, self.sketch_stack
        with stack, timed(pipe.vae, "decode", stack.device) as decode_seconds:
            call = with_progress(pipe, self._call, report_step)
            output = SketchCall(pipe, self._sketching)(**call)
        sketch = self._sketching.sketch
        if sketch is not None:
            self._record.decode_seconds = decode_seconds()
            call = with_progress(self._renderer, self._render_call, report_step)
            output = self._render(sketch, output, call)
        else:
            self._warnings.append("no switch came, so the render pipeline was not called")
        report = self.report
        for warning in report.warnings if self.logs_warnings else ():
            _log.warning(warning)
        return Handoff(output, report, *self._parts())

    @property
    def report(self) -> Report:
        """The report of the last run, complete or not.

        Raises:
            LoopError: no step was taken.
        """
        sketch, render = self._parts()
        report = sketch.model_copy(deep=True)
        if render is not None:
            report = joined_report(sketch, render, self._record)
        elif self._sketching.sketch is not None:
            report.outcome = "partial"
            report.warnings.append("the sketch was there, but the render pipeline took no step")
        report.warnings += self._warnings
        return report

    def _parts(self) -> tuple[Report, Report | None]:
        """The reports of the last run's two calls."""
        sketch, render = (
            stack.reports[-1] if len(stack.reports) > before else None
            for stack, before in zip(self._stacks, self._reported, strict=True)
        )
        if sketch is None:
            raise LoopError("no run yet: the sketch pipeline took no step")
        return sketch, render

    def _render(self, sketch: Sketch, frames: Any, call: dict[str, Any]) -> Any:
        """The render pipeline's output for the sketch's frames."""
        pipe, stack = self._renderer, self._render_stack
        check_size(self._render_pipe, frames.shape[1], *frames.shape[-2:])
        self._rendering.first_step = self._first_step(sketch.levels)
        call |= pixels_for(pipe, frames)
        call["strength"] = strength_for(
            pipe, self._schedule, self._steps, self._rendering.first_step
        )
        with stack, timed(pipe.vae, "encode", stack.device) as encode_seconds:
            try:
                output = pipe(**call)
            finally:
                self._record.encode_seconds = encode_seconds()
                if self._rendering.started is not None:
                    self._record.seconds = self._rendering.started - self._sketching.ended
        if pipe is not self._render_pipe:
            self._render_pipe.maybe_free_model_hooks()  # the sibling does not know of offloading
        return output

    def _first_step(self, levels: Levels) -> int:
        """Where the render pipeline begins, for the levels at which the sketch stopped."""
        first_step = first_step_at(self._schedule, self._space, levels, self._steps)
        if first_step is None:
            first_step = self._steps - 1
            self._warnings.append(
                "the render pipeline's schedule has no step with as little noise as the sketch's: "
                "it took its last one, which has more"
            )
        position = first_step * order_of(self._schedule)
        begun = scheduled_levels(self._schedule, self._space.schedule, position)
        self._record.first_step = first_step
        self._record.noise_level_before = noise_level(levels)
        self._record.noise_level_after = noise_level(begun)
        return first_step


def _stack(
    pipe: Any,
    recipe: Recipe,
    own: Accelerator,
    adapters: Sequence[DenoiserAdapter],
    role: str | None = None,
) -> Stack:
    """A stack of the recipe's accelerators, with `own` in SRDiffusion's place."""
    accelerators = [
        own if item.use == SRDIFFUSION else item.accelerator(item) for item in recipe.accelerators
    ]
    stack = compose(pipe, accelerators, adapters=adapters, role=role)
    stack.recipe = recipe
    stack.logs_warnings = False  # those of the joined report are logged
    return stack


def _space_of(pipe: Any) -> NoiseSpace:
    if getattr(pipe, "vae", None) is None:
        raise ModelError(f"{type(pipe).__name__} has no VAE to hand frames over with")
    space = noise_space_of(pipe.scheduler, pipe.vae.config)
    if space is None:
        raise ModelError(
            f"sraccel does not know the noise levels of {type(pipe.scheduler).__name__} (of "
            f"{type(pipe).__name__}): take a scheduler of flow matching or of DDPM's kind"
        )
    return space
