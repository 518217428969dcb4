"""How many steps the render model will take, as far as the options say."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from sraccel.accelerators.srdiffusion.render_model import RENDER
from sraccel.plugin import Forecast, scheduled_sigma

if TYPE_CHECKING:
    from sraccel.accelerators.srdiffusion.options import SRDiffusionOptions
    from sraccel.plugin import Stack

FIRST_LOOK = 2
"""The first step after which both rules can answer: it takes two differences, so three steps."""


def forecast_of(options: SRDiffusionOptions, stack: Stack, steps: int) -> Forecast:
    """The range of the render model's steps in a run of so many."""
    if options.switch_sigma is not None:
        return _by_noise_level(options.switch_sigma, stack, steps)
    first, last = switch_range(options, steps)
    taken = {RENDER: (float(steps - last), float(steps - first))}
    return Forecast(taken=taken, assumes=_in_words(options, first, last, steps))


def switch_range(options: SRDiffusionOptions, steps: int) -> tuple[int, int]:
    """Earliest and latest first step of the render model; `steps`: it never comes."""
    if options.switch_step is not None:
        fixed = min(options.switch_step, steps)
        return fixed, fixed
    first = max(options.min_step, FIRST_LOOK) + 1
    last = steps if options.max_step is None else options.max_step + 1
    return min(first, last, steps), min(last, steps)


def _in_words(options: SRDiffusionOptions, first: int, last: int, steps: int) -> str:
    if first >= steps:
        return "the switch comes after the last step"
    if first == last:
        return f"a switch at step {first}"
    end = "perhaps never" if last >= steps else f"at step {last} at the latest"
    return f"a switch at step {first} at the earliest, {end}"


def _by_noise_level(sigma: float, stack: Stack, steps: int) -> Forecast:
    levels = _noise_levels(stack, steps)
    where = f"a switch at noise level {sigma:g}"
    if levels is None:
        return Forecast({RENDER: (0.0, float(steps))}, assumes=f"{where}, which may be any step")
    first = sum(level > sigma for level in levels)
    taken = float(steps - first)
    assumes = f"{where}, which the scheduler reaches at step {first}"
    return Forecast({RENDER: (taken, taken)}, assumes=assumes)


def _noise_levels(stack: Stack, steps: int) -> list[float] | None:
    """The noise level of each step, by the pipeline's scheduler; None: not known."""
    scheduler: Any = copy.deepcopy(getattr(stack.pipeline, "scheduler", None))
    if scheduler is None:
        return None
    try:
        scheduler.set_timesteps(steps)
    except (TypeError, ValueError):  # it takes what only the pipeline's call knows
        return None
    space = stack.own.noise_space
    levels = [scheduled_sigma(scheduler, space, index) for index in range(steps)]
    known = [level for level in levels if level is not None]
    return known if len(scheduler.timesteps) == len(known) == steps else None
