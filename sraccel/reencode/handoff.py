"""The hand-off to a model with another VAE: two pipelines, and frames between them.

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

from sraccel.accelerators.srdiffusion.render_model import RENDER
from sraccel.composer import compose_accelerators
from sraccel.errors import ConflictError, LoopError, ModelError
from sraccel.noise.space import (
    Levels,
    NoiseSpace,
    noise_level,
    noise_space_of,
    scheduled_levels,
)
from sraccel.recipe.recipe import Recipe
from sraccel.reencode.halves import Rendering, Sketch, Sketching
from sraccel.reencode.interrupted_call import CALLBACK, InterruptedCall, check_stoppable
from sraccel.reencode.joined_report import joined_report
from sraccel.reencode.stopwatch import timed
from sraccel.reencode.video_to_video import (
    arguments_of,
    check_size,
    first_step_at,
    pixels_for,
    planned_size,
    schedule_of,
    strength_for,
    video_to_video,
)
from sraccel.report.model import HandoffRecord, Report

if TYPE_CHECKING:
    from sraccel.loop.accelerator import Accelerator, AcceleratorOptions
    from sraccel.loop.denoiser_adapter import DenoiserAdapter
    from sraccel.loop.stack import Stack

SRDIFFUSION = "srdiffusion"
OF_ONE_PIPELINE = {"residency", "render_lora"}
"""Options of srdiffusion that say what becomes of a render model inside one pipeline's loop."""

SKETCH_ONLY = {"latents", "height", "width", "num_frames", "guidance_scale_2"}
"""Arguments that the render pipeline does not get: the frames stand for them, or it has no use."""
REFUSED = {
    "timesteps": "give num_inference_steps",
    "sigmas": "give num_inference_steps",
    "num_videos_per_prompt": "repeat the prompt",
    "num_images_per_prompt": "repeat the prompt",
}
"""Arguments that a hand-off has no use for, unless they are None or 1, and what to do instead."""

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
    """Two pipelines and a recipe, found to fit each other; `run` may be called again.

    Arguments and errors as `handoff`.

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
        options = _srdiffusion_of(recipe)
        check_stoppable(sketch_pipe)
        self.sketch_pipe, self._render_pipe = sketch_pipe, render_pipe
        self.logs_warnings = True
        self._renderer = video_to_video(render_pipe)
        self._call = {"num_inference_steps": _default_steps(sketch_pipe), **call}
        self._render_call = {
            **_defaults(render_pipe, self._renderer),
            **_call_of(self._renderer, {**self._call, **(render_call or {})}),
        }
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

    def run(self, callback: Any = None) -> Handoff:
        """Run both pipelines; `callback` takes the place of the call's `callback_on_step_end`."""
        self._forget()
        told = {} if callback is None else {CALLBACK: callback}
        with self._render_stack:
            pass  # what attaching refuses, it refuses before the sketch
        stack = self.sketch_stack
        with stack, timed(self.sketch_pipe.vae, "decode", stack.device) as decoding:
            call = InterruptedCall(self.sketch_pipe, self._sketching)
            output = call(**{**self._call, **told})
        sketch = self._sketching.sketch
        if sketch is not None:
            self._record.decode_seconds = decoding.seconds()
            output = self._render(sketch, output, {**self._render_call, **told})
        else:
            self._warnings.append("no switch came, so the render pipeline was not called")
        report = self.report
        for warning in report.warnings if self.logs_warnings else ():
            _log.warning(warning)
        return Handoff(output, report, *self._parts())

    @property
    def report(self) -> Report:
        """The report of the last run, as far as it came.

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
        with stack, timed(pipe.vae, "encode", stack.device) as encoding:
            try:
                output = pipe(**call)
            finally:
                self._record.encode_seconds = encoding.seconds()
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
        position = first_step * getattr(self._schedule, "order", 1)
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
    stack = compose_accelerators(pipe, accelerators, recipe, adapters, role=role)
    stack.logs_warnings = False  # those of the joined report are logged
    return stack


def _srdiffusion_of(recipe: Recipe) -> AcceleratorOptions:
    """The options of the recipe's srdiffusion."""
    options: Any = next((item for item in recipe.accelerators if item.use == SRDIFFUSION), None)
    if options is None:
        raise ConflictError(
            f"a hand-off between two pipelines takes srdiffusion, which decides the switch; "
            f"{recipe!r} has none",
            accelerators=[SRDIFFUSION],
        )
    if options.switch_step == 0:
        raise ConflictError(
            "srdiffusion: `switch_step: 0` leaves the sketch pipeline nothing to do; call the "
            "render pipeline alone",
            accelerators=[SRDIFFUSION],
        )
    if unused := sorted(OF_ONE_PIPELINE & options.model_fields_set):
        raise ConflictError(
            f"srdiffusion: {', '.join(unused)} would have no effect on a hand-off between two "
            f"pipelines, which are loaded, placed and offloaded each by itself: leave it out",
            accelerators=[SRDIFFUSION],
        )
    found: AcceleratorOptions = options
    return found


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


def _default_steps(pipe: Any) -> Any:
    return arguments_of(pipe)["num_inference_steps"].default


def _defaults(pipe: Any, renderer: Any) -> dict[str, Any]:
    """What a pipeline's own call defaults to, for the sibling that stands in for it."""
    known = arguments_of(renderer).keys() - SKETCH_ONLY
    return {
        name: parameter.default
        for name, parameter in arguments_of(pipe).items()
        if name in known and parameter.default is not parameter.empty
    }


def _call_of(renderer: Any, call: dict[str, Any]) -> dict[str, Any]:
    """The render pipeline's arguments, but for the frames.

    Raises:
        ModelError: it does not know one of them, or a hand-off has no use for it.
    """
    name = type(renderer).__name__
    for refused, instead in REFUSED.items():
        value = call.get(refused)
        if value is not None and not (isinstance(value, int) and value == 1):
            raise ModelError(f"a hand-off between pipelines takes no {refused}: {instead}")
    known = arguments_of(renderer)
    unknown = call.keys() - SKETCH_ONLY - known.keys()
    if wrong := sorted(key for key in unknown if call[key] is not None):
        nothing = ", ".join(f"{key!r}: None" for key in wrong)
        raise ModelError(
            f"{name}, which renders, does not know {', '.join(wrong)}: leave it out, or out of its "
            f"call alone with render_call={{{nothing}}}"
        )
    return {key: value for key, value in call.items() if key not in unknown | SKETCH_ONLY}
