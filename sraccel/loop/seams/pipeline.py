"""The pipeline seam: a diffusers pipeline drives runs and steps without knowing it.

`scheduler.set_timesteps` marks a run pending, the first denoiser call opens it, `scheduler.step`
ends a step. A run ends at its last step, when the pipeline's progress bar closes, at the next
`set_timesteps`, or when the stack is detached, whichever comes first.
"""

from __future__ import annotations

import inspect
import sys
import threading
from typing import TYPE_CHECKING, Any

from sraccel.errors import LoopError
from sraccel.loop.intercept import Interception
from sraccel.noise.space import scheduled_sigma

if TYPE_CHECKING:
    import torch

    from sraccel.loop.denoiser import Denoiser
    from sraccel.loop.run import Run
    from sraccel.loop.stack import Stack
    from sraccel.loop.step import Step


class PipelineSeam:
    """Watches the scheduler and the progress bar of one pipeline."""

    def __init__(self, stack: Stack, pipeline: Any, denoisers: dict[str, Denoiser]) -> None:
        self._stack = stack
        self._pipeline = pipeline
        self._scheduler = pipeline.scheduler
        self._denoisers = denoisers  # by attribute of the pipeline
        self._step_signature = inspect.signature(type(pipeline.scheduler).step)
        self._schedule_signature = inspect.signature(type(pipeline.scheduler).set_timesteps)
        self._pending: int | None = None  # thread that called set_timesteps
        self._run: Run | None = None
        self._begin = 0
        self._bars = 0  # how many progress bars there have been

    def install(self) -> list[Interception]:
        """Put the layers in place."""
        return [
            Interception(self._scheduler, "set_timesteps", self._set_timesteps),
            Interception(self._scheduler, "step", self._scheduler_step),
            Interception(self._pipeline, "progress_bar", self._progress_bar),
        ]

    def owns(self, run: Run) -> bool:
        """Whether this seam opened the run (and not the user, by `stack.run`)."""
        return run is self._run

    def step_of(
        self, denoiser: Denoiser, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Step | None:
        """The step that a denoiser call belongs to, opened if need be; None: another loop's."""
        self._check_target()
        if self._run is None and self._pending is None:
            return None
        timestep = kwargs.get(denoiser.adapter.timestep, args[1] if len(args) > 1 else None)
        if self._run is None:
            self._begin = self._begin_index(denoiser, timestep)
        if not self._is_current(denoiser, timestep):
            return None
        return self._open_step()

    def close(self, error: BaseException | None = None) -> None:
        """End the open run, if any, and forget a pending one."""
        self._pending = None
        run, self._run = self._run, None
        if run is not None:
            step = run.current_step
            if step is not None:
                run.leave_step(step)
            run.close(error)

    def _check_target(self) -> None:
        """Raise LoopError if the pipeline's parts are no longer those that were composed."""
        replaced = [
            attribute
            for attribute, denoiser in self._denoisers.items()
            if getattr(self._pipeline, attribute) is not denoiser.module
        ]
        for attribute in replaced:
            if hasattr(getattr(self._pipeline, attribute), "_orig_mod"):
                raise LoopError(
                    f"pipeline.{attribute} was wrapped by torch.compile(...) while the stack is "
                    f"attached, so the recipe would no longer act: take it out again and use its "
                    f"`compile_repeated_blocks()` instead"
                )
        if self._pipeline.scheduler is not self._scheduler:
            replaced.append("scheduler")
        if replaced:
            raise LoopError(
                f"pipeline.{' and '.join(replaced)} was replaced while the stack is attached, so "
                f"the recipe would no longer act: detach first, replace, then compose again"
            )

    def _set_timesteps(self, inner: Any, *args: Any, **kwargs: Any) -> Any:
        self._check_target()
        self._stack.check_thread()
        self.close()
        self._check_steps(args, kwargs)
        result = inner(*args, **kwargs)
        self._stack.mend()
        if self._stack.current_run is None:  # else the user drives a run of their own
            self._pending = threading.get_ident()
        return result

    def _check_steps(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Refuse a run without steps, of which schedulers say nothing, or nothing clear."""
        bound = self._schedule_signature.bind_partial(self._scheduler, *args, **kwargs)
        steps = bound.arguments.get("num_inference_steps")
        if isinstance(steps, int) and steps < 1:
            raise LoopError(f"num_inference_steps must be 1 or more, not {steps}")

    def _begin_index(self, denoiser: Denoiser, timestep: Any) -> int:
        """Where in the schedule the loop begins (video to video begins late)."""
        begin = getattr(self._scheduler, "begin_index", None)
        if begin is not None:
            return int(begin)
        for position in range(len(self._scheduler.timesteps)):
            if self._same_timestep(denoiser, timestep, position):
                return position
        return 0

    def _is_current(self, denoiser: Denoiser, timestep: Any) -> bool:
        run = self._run
        step = run.current_step if run is not None else None
        taken = 0 if run is None else step.index if step is not None else len(run.steps)
        position = self._begin + taken
        return position < len(self._scheduler.timesteps) and self._same_timestep(
            denoiser, timestep, position
        )

    def _same_timestep(self, denoiser: Denoiser, timestep: Any, position: int) -> bool:
        import torch

        scheduled = self._scheduler.timesteps[position]
        if not isinstance(timestep, torch.Tensor):
            return timestep is None or float(timestep) == float(scheduled)
        if timestep.data_ptr() == scheduled.data_ptr():  # a view: no need to wait for the device
            return True
        expected = denoiser.adapter.model_timestep(float(scheduled))
        tolerance = torch.finfo(timestep.dtype).eps if timestep.is_floating_point() else 0.0
        # Per-token timesteps hold 0 where a frame is given: the greatest is the loop's.
        return abs(float(timestep.max()) - expected) <= tolerance * max(abs(expected), 1.0)

    def _open_step(self) -> Step:
        if self._run is None:
            if self._pending != threading.get_ident():
                raise LoopError(
                    "two threads run this pipeline under one stack: compose a copy for each thread"
                )
            self._run = self._stack.run(len(self._scheduler.timesteps) - self._begin)
            try:
                self._run.__enter__()
            except BaseException:
                self._run = None
                raise
        step = self._run.current_step
        if step is None:
            position = self._begin + len(self._run.steps)
            step = self._run.step(
                timestep=float(self._scheduler.timesteps[position]), sigma=self._sigma(position)
            )
            step.__enter__()
        return step

    def _sigma(self, position: int) -> float | None:
        space = next(iter(self._denoisers.values())).noise_space
        return scheduled_sigma(self._scheduler, space, position)

    def _scheduler_step(self, inner: Any, *args: Any, **kwargs: Any) -> Any:
        run = self._run
        step = run.current_step if run is not None else None
        if run is None or step is None:
            if self._stack.current_run is not run:  # a run of the user's own
                self._pending = None
            if self._pending is not None and not self._was_stepped(args, kwargs):
                raise LoopError(
                    "the pipeline steps its scheduler, but none of its denoiser calls had the "
                    "scheduler's current timestep: sraccel cannot follow this loop; drive it "
                    "yourself with stack.run(...)"
                )
            return inner(*args, **kwargs)
        noise_pred, latents = self._predicted(args, kwargs)
        step.finish(noise_pred, latents)
        step.__exit__(None, None, None)
        result = inner(*args, **kwargs)
        if len(run.steps) >= run.num_inference_steps:
            self.close()
        return result

    def _was_stepped(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        """Whether the last step is taken again: Cosmos asks for its result before it guides."""
        if self._run is None or not self._run.steps:
            return False
        given = self._arguments(args, kwargs)["timestep"]
        return float(given) == self._run.steps[-1].timestep

    def _predicted(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The guided prediction and the latents among the arguments of `scheduler.step`."""
        given = self._arguments(args, kwargs)
        return given["model_output"], given["sample"]

    def _arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        return self._step_signature.bind_partial(self._scheduler, *args, **kwargs).arguments

    def _progress_bar(self, inner: Any, *args: Any, **kwargs: Any) -> Any:
        self._check_target()
        bar = inner(*args, **kwargs)
        serial = self._bars = self._bars + 1
        handled = sys.exc_info()[1]  # by the user, who runs the pipeline in an `except` block

        def closed(inner: Any, *args: Any, **kwargs: Any) -> Any:
            error = sys.exc_info()[1]
            result = inner(*args, **kwargs)
            if serial == self._bars:  # not an old bar that is garbage-collected during a later run
                self._bars += 1
                self.close(None if error is handled else error)
            return result

        Interception(bar, "close", closed)
        return bar
