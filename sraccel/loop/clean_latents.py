"""The clean latents that a step's guided prediction implies: its estimate of x0."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sraccel.errors import LoopError
from sraccel.noise.space import NoiseSpace, scheduled_levels

if TYPE_CHECKING:
    import torch

    from sraccel.loop.run import Run
    from sraccel.loop.step import Step


def clean_latents(step: Step) -> torch.Tensor:
    """The clean latents that a finished step's guided prediction implies.

    Of the latents' shape and dtype; computed in float32. (Ho et al. 2020, equation 15; for other
    predictions than noise, see `NoiseSpace.clean`.)

    Raises:
        LoopError: the step was not finished, or what its noise levels mean is not known.
    """
    space = step.run.stack.own.noise_space
    if step.latents is None or step.noise_pred is None:
        raise LoopError(f"step {step.index} has no guided prediction: call `step.finish` first")
    if space is None:
        raise LoopError(
            "the clean latents of a step take the meaning of its noise levels, which is not known "
            "of this model: give compose(..., noise_space=...)"
        )
    pipeline = step.run.stack.pipeline
    if pipeline is not None:
        position = first_position(step.run) + step.index
        return clean_at(step, pipeline.scheduler, space, position)
    if step.timestep is None:
        raise LoopError(
            "the clean latents of a step take its timestep: pass `timestep` to `run.step`"
        )
    return _clean(step, space, step.latents, step.timestep)


def first_position(run: Run) -> int:
    """The position in the pipeline's timesteps at which a run begins."""
    return len(run.stack.pipeline.scheduler.timesteps) - run.num_inference_steps


def clean_at(step: Step, scheduler: Any, space: NoiseSpace, position: int) -> torch.Tensor:
    """The same, of a step at a position of a diffusers scheduler's timesteps."""
    model_input: Any = step.latents
    if hasattr(scheduler, "scale_model_input"):
        model_input = scheduler.scale_model_input(model_input, scheduler.timesteps[position])
    timestep = space.schedule.timestep(*scheduled_levels(scheduler, space.schedule, position))
    return _clean(step, space, model_input, timestep)


def _clean(step: Step, space: NoiseSpace, model_input: Any, timestep: float) -> torch.Tensor:
    prediction: Any = step.noise_pred
    clean: Any = space.clean(model_input.float(), prediction.float(), timestep)
    latents: Any = step.latents
    cast: torch.Tensor = clean.to(latents.dtype)
    return cast
