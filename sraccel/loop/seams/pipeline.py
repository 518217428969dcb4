"""The pipeline seam: a diffusers pipeline drives runs and steps without knowing it.

`scheduler.set_timesteps` announces a run, the first denoiser call opens it, `scheduler.step` ends a
step. A run ends at its last step, when the pipeline's progress bar closes, at the next
`set_timesteps`, or when the stack is detached, whichever comes first.
"""

from __future__ import annotations

import inspect
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from sraccel.errors import LoopError
from sraccel.loop.intercept import Interception
from sraccel.loop.seams.pipeline_state import PipelineState
from sraccel.loop.step_plan import StepPlan, impose

if TYPE_CHECKING:
    from sraccel.loop.agreement import Agreement
    from sraccel.loop.hooks import LoopHooks
    from sraccel.loop.schedule import Schedule
    from sraccel.loop.tracker import Tracker


STEP_ARGUMENTS = ("model_output", "timestep", "sample")
"""Of every scheduler's `step`, in this order."""


class PipelineSeam:
    """Watches the scheduler and the progress bar of one pipeline."""

    def __init__(
        self,
        pipeline: Any,
        tracker: Tracker,
        schedule: Schedule,
        hooks: LoopHooks,
        reapply: Callable[[], None],
        agreement: Agreement | None,
    ) -> None:
        self._pipeline = pipeline
        self._scheduler = pipeline.scheduler
        self._tracker = tracker
        self._schedule = schedule
        self._hooks = hooks
        self._reapply = reapply  # the stack's layers
        self._agreement = agreement
        self._step_signature = inspect.signature(type(pipeline.scheduler).step)
        self._schedule_signature = inspect.signature(type(pipeline.scheduler).set_timesteps)
        self._state = PipelineState(pipeline)
        self._disturbed = False  # by a thread that was refused
        self._latest = threading.local()  # `bar`: a token of this thread's latest progress bar

    def install(self) -> Iterator[Interception]:
        """Put the layers in place, one after the other."""
        yield Interception(self._scheduler, "set_timesteps", self._set_timesteps)
        self._stepping = Interception(self._scheduler, "step", self._step)
        yield self._stepping
        yield Interception(self._pipeline, "progress_bar", self._progress_bar)

    def _set_timesteps(self, inner: Any, *args: Any, **kwargs: Any) -> Any:
        self._schedule.check_whole()
        self._take()
        self._check_steps(args, kwargs)
        result = inner(*args, **kwargs)
        self._schedule.timesteps_set()
        if self._hooks.anyone("plan_steps") and not self._tracker.driven_by_user:
            self._plan()
        self._reapply()
        self._schedule.shown_steps, self._schedule.by_copies = None, False
        _ = self._stepping.copied  # of earlier runs
        self._tracker.announce()
        return result

    def _take(self) -> None:
        try:
            self._tracker.begin_anew()
        except LoopError:
            self._disturbed = bool(self._state.changed)
            raise
        # Who else is in the pipeline's call by now may have set what this run would go on with.
        self._disturbed = self._tracker.ownership.others_run()
        self._state.look()

    def _check_undisturbed(self) -> None:
        """Refuse to go on with what another thread's call of the pipeline has changed."""
        changed = self._state.look()
        if self._disturbed or (changed and self._tracker.ownership.others_run()):
            self._disturbed = False
            raise LoopError(
                f"another thread called this {type(self._pipeline).__name__} in the middle of a "
                "run and changed what it runs with: compose a copy of the pipeline for each thread"
            )

    def _plan(self) -> None:
        """Ask which noise levels are taken, and set the scheduler to them."""
        plan = StepPlan.of(self._scheduler)
        planned = self._hooks.plan_steps(plan)
        if self._agreement is not None:
            planned = self._agreed(plan, planned)
        if planned is not None:
            accelerator, answer = planned
            impose(self._scheduler, plan, answer, accelerator, self._schedule.noise_space)
            self._schedule.planned(plan.num_inference_steps, accelerator)

    def _agreed(
        self, plan: StepPlan, own: tuple[str, Any] | None
    ) -> tuple[str, Sequence[float]] | None:
        """What all ranks plan."""
        assert self._agreement is not None
        levels = self._agreement.planned(plan.num_inference_steps, None if own is None else own[1])
        name = self._hooks.who("plan_steps")[0] if own is None else own[0]
        return None if levels is None else (name, levels)

    def _check_steps(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Refuse a run without steps, of which schedulers say nothing, or nothing clear."""
        bound = self._schedule_signature.bind_partial(self._scheduler, *args, **kwargs)
        steps = bound.arguments.get("num_inference_steps")
        if isinstance(steps, int) and steps < 1:
            raise LoopError(f"num_inference_steps must be 1 or more, not {steps}")

    def _step(self, inner: Any, *args: Any, **kwargs: Any) -> Any:
        given = self._step_arguments(args, kwargs)
        self._schedule.by_copies = False
        if self._tracker.announced:
            self._check_undisturbed()
        step = self._tracker.pipelines_step
        if step is None:
            self._check_followed(given)
            return inner(*args, **kwargs)
        step.finish(given["model_output"], given["sample"])
        step.close()
        result = inner(*args, **kwargs)
        if step.run.complete:
            self._tracker.end_pipelines_run()
        return result

    def _step_arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """What `scheduler.step` was given, by name.

        A wrapper around it may have a signature that says nothing: names are then diffusers' own,
        in its order.
        """
        bound = self._step_signature.bind_partial(self._scheduler, *args, **kwargs).arguments
        given = {**dict(zip(STEP_ARGUMENTS, args, strict=False)), **kwargs, **bound}
        if missing := [name for name in STEP_ARGUMENTS if name not in given]:
            raise LoopError(
                f"{type(self._scheduler).__name__}.step was called without {', '.join(missing)}: "
                "sraccel cannot follow this loop; drive it yourself with stack.run(...)"
            )
        return given

    def _check_followed(self, given: dict[str, Any]) -> None:
        """Refuse a loop that steps its scheduler without a denoiser call that was seen."""
        tracker = self._tracker
        if tracker.driven_by_user:
            tracker.withdraw()
        if not tracker.announced:
            return
        steps = tracker.run.steps if tracker.run is not None else []
        # Cosmos asks for a step's result before it guides, and steps again: the same timestep.
        if not steps or float(given["timestep"]) != steps[-1].timestep:
            raise LoopError(
                "the pipeline steps its scheduler, but none of its denoiser calls had the "
                "scheduler's current timestep: sraccel cannot follow this loop; drive it "
                "yourself with stack.run(...)"
            )

    def _progress_bar(self, inner: Any, *args: Any, **kwargs: Any) -> Any:
        self._schedule.check_target()
        bar = inner(*args, **kwargs)
        self._see_bar(bar)
        token = self._latest.bar = object()
        handled = sys.exc_info()[1]  # by the user, who runs the pipeline in an `except` block

        def closed(inner: Any, *args: Any, **kwargs: Any) -> Any:
            error = sys.exc_info()[1]
            result = inner(*args, **kwargs)
            if getattr(self._latest, "bar", None) is token:  # not one that is garbage by now
                self._latest.bar = None
                if self._tracker.announced:  # by this thread: another one's call was refused
                    self._tracker.end_pipelines_run(None if error is handled else error)
            return result

        Interception(bar, "close", closed)
        return bar

    def _see_bar(self, bar: Any) -> None:
        """Note what a progress bar shows of the loop that begins."""
        schedule, tracker = self._schedule, self._tracker
        schedule.shown_steps = getattr(bar, "total", None)
        if self._stepping.copied:
            schedule.by_copies = True
            if tracker.run is None:  # a long video, made in parts
                tracker.announce()
