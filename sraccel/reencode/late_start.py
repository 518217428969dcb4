"""At which step a pipeline begins that goes on with frames, and the strength that makes it so."""

from __future__ import annotations

import copy
import inspect
import math
from types import SimpleNamespace
from typing import Any

from sraccel.errors import LoopError, ModelError
from sraccel.noise.space import Levels, NoiseSpace, scheduled_levels

SAME_ANGLE = 1e-6
"""Noise levels this near, as `atan2(noise, signal)`, are one level."""


def schedule_of(pipe: Any, num_inference_steps: int) -> Any:
    """A copy of the pipeline's scheduler with its timesteps set.

    Raises:
        ModelError: the scheduler needs more than the number of steps.
    """
    scheduler = copy.deepcopy(pipe.scheduler)
    try:
        scheduler.set_timesteps(num_inference_steps)
    except (ValueError, TypeError) as error:
        raise ModelError(
            f"the schedule of {type(pipe).__name__} does not follow from the number of steps "
            f"({error}): sraccel does not know where to begin in it"
        ) from error
    return scheduler


def first_step_at(scheduler: Any, space: NoiseSpace, levels: Levels, steps: int) -> int | None:
    """The first step of a schedule whose noise is not above these levels; None: there is none.

    Args:
        scheduler: with its timesteps set.
        space: what they mean.
        levels: signal and noise, of any schedule: their ratio is compared.
        steps: how many steps the schedule has.
    """
    wanted = math.atan2(levels[1], levels[0]) + SAME_ANGLE
    for step in range(steps):
        signal, noise = scheduled_levels(scheduler, space.schedule, step * order_of(scheduler))
        if math.atan2(noise, signal) <= wanted:
            return step
    return None


def strength_for(pipe: Any, scheduler: Any, steps: int, first_step: int) -> float:
    """The strength with which a pipeline begins at this step; asks its own `get_timesteps`.

    Pipelines round differently: `int(50 * (29 / 50))` is 28.

    Raises:
        LoopError: no strength gives this step.
    """
    exact, half = (steps - first_step) / steps, 0.5 / steps
    for strength in (exact, exact + half, exact - half):
        if 0 <= strength <= 1 and _begin(pipe, scheduler, steps, strength) == first_step:
            return strength
    raise LoopError(
        f"{type(pipe).__name__} begins at step {first_step} of {steps} with no `strength`"
    )


def _begin(pipe: Any, scheduler: Any, steps: int, strength: float) -> float:
    """The step of its schedule that a pipeline would begin with."""
    get_timesteps: Any = type(pipe).get_timesteps
    arguments = {
        "num_inference_steps": steps,
        "timesteps": scheduler.timesteps,
        "strength": strength,
        "device": scheduler.timesteps.device,
    }
    takes = inspect.signature(get_timesteps).parameters
    given = {name: value for name, value in arguments.items() if name in takes}
    # A stand-in: some set the scheduler's begin index here.
    stand_in = SimpleNamespace(scheduler=copy.copy(scheduler))
    timesteps, _ = get_timesteps(stand_in, **given)
    return (len(scheduler.timesteps) - len(timesteps)) / order_of(scheduler)


def order_of(scheduler: Any) -> int:
    """How many of the scheduler's timesteps make one step."""
    return int(getattr(scheduler, "order", 1))
