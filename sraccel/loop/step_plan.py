"""Planning the steps: which noise levels a run takes, and setting a scheduler to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from sraccel.errors import ConflictError
from sraccel.loop.answers import refuse
from sraccel.noise.space import FlowSchedule

if TYPE_CHECKING:
    from sraccel.loop.denoiser_adapter import DenoiserAdapter
    from sraccel.noise.space import NoiseSpace

PLANNABLE = (
    "DEISMultistepScheduler",
    "DPMSolverMultistepScheduler",
    "EulerAncestralDiscreteScheduler",
    "EulerDiscreteScheduler",
    "FlowMatchEulerDiscreteScheduler",
    "FlowMatchLCMScheduler",
    "LMSDiscreteScheduler",
    "UniPCMultistepScheduler",
)
"""Schedulers that take their steps from `timesteps` and `sigmas` alone."""
SAME = 1e-6
"""Noise levels whose ratio is this near to 1 are one level."""
BEGINNING = 0.01
"""How far, as a ratio, the first level may lie from the one that was asked for."""


@dataclass(frozen=True, repr=False)
class StepPlan:
    """The steps that a loop asked for.

    Attributes:
        num_inference_steps: how many.
        sigmas: their noise levels, falling, in the scheduler's own terms: flow matching's sigma
            (0 to 1), or noise over signal. The final one, at which no step begins, is not among
            them.
        timesteps: the scheduler's timesteps at these levels.
    """

    num_inference_steps: int
    sigmas: tuple[float, ...]
    timesteps: tuple[float, ...]

    def __repr__(self) -> str:
        return f"StepPlan({self.num_inference_steps} steps)"

    @classmethod
    def of(cls, scheduler: Any) -> StepPlan:
        """That of a scheduler whose timesteps are set; see `check_plannable`."""
        timesteps = tuple(float(timestep) for timestep in scheduler.timesteps)
        sigmas = tuple(float(sigma) for sigma in scheduler.sigmas[: len(timesteps)])
        return cls(len(timesteps), sigmas, timesteps)


def check_plannable(pipeline: Any, adapter: DenoiserAdapter, accelerator: str) -> None:
    """Refuse a pipeline whose steps cannot be planned.

    Raises:
        ConflictError: its scheduler keeps more than noise levels, it begins late in them, or it
            steps by another scheduler, too.
    """
    scheduler = type(pipeline.scheduler).__name__
    if scheduler not in PLANNABLE:
        raise ConflictError(
            f"{accelerator!r} plans the steps, which {scheduler} does not let: take one of "
            f"{', '.join(PLANNABLE)}, or leave {accelerator!r} out of the recipe",
            accelerators=[accelerator],
        )
    if hasattr(type(pipeline), "get_timesteps"):
        raise ConflictError(
            f"{accelerator!r} plans the steps, and {type(pipeline).__name__} counts by itself "
            f"where in them it begins: leave {accelerator!r} out of the recipe",
            accelerators=[accelerator],
        )
    if not adapter.one_scheduler:
        raise ConflictError(
            f"{accelerator!r} plans the steps, and {type(pipeline).__name__} takes them by two "
            f"schedulers, of which it reaches one: leave {accelerator!r} out of the recipe",
            accelerators=[accelerator],
        )


def impose(scheduler: Any, plan: StepPlan, answer: Any, accelerator: str, space: Any) -> None:
    """Set a scheduler to the noise levels that an accelerator planned.

    Raises:
        PluginError: they are no levels, do not fall, or do not begin where the loop does.
    """
    import torch

    levels = _checked(answer, plan, accelerator)
    old, timesteps = scheduler.sigmas, scheduler.timesteps
    taken = [_position(level, plan) for level in levels]
    sigmas = [
        old[found] if found is not None else torch.tensor(level, dtype=old.dtype, device=old.device)
        for level, found in zip(levels, taken, strict=True)
    ]
    times = [
        timesteps[found] if found is not None else _timestep_at(level, timesteps, space)
        for level, found in zip(levels, taken, strict=True)
    ]
    scheduler.sigmas = torch.stack([*sigmas, old[-1]])
    scheduler.timesteps = torch.stack(times)
    scheduler.num_inference_steps = len(levels)


def _timestep_at(sigma: float, timesteps: Any, space: NoiseSpace | None) -> Any:
    """The timestep of a level, as the scheduler holds its others."""
    schedule = FlowSchedule() if space is None else space.schedule
    signal = 1.0 - sigma if isinstance(schedule, FlowSchedule) else 1.0
    return timesteps.new_tensor(schedule.timestep(signal, sigma))


def _position(level: float, plan: StepPlan) -> int | None:
    """Where in the plan a level lies; None: it is a new one."""
    for position, sigma in enumerate(plan.sigmas):
        if abs(level - sigma) <= SAME * sigma:
            return position
    return None


def _checked(answer: Any, plan: StepPlan, accelerator: str) -> list[float]:
    number = (int, float)
    if not isinstance(answer, Sequence) or not all(isinstance(one, number) for one in answer):
        refuse(accelerator, "plan_steps", None, f"{answer!r}: it must be numbers, or None")
    levels = [float(level) for level in answer]
    if not levels or any(one <= other for one, other in pairwise(levels)) or levels[-1] <= 0:
        refuse(accelerator, "plan_steps", None, f"{levels}: noise levels must fall, and not to 0")
    if abs(levels[0] - plan.sigmas[0]) > BEGINNING * plan.sigmas[0]:
        refuse(
            accelerator,
            "plan_steps",
            None,
            f"{levels[0]} as the first noise level: a run begins with noise at {plan.sigmas[0]}",
        )
    return levels
