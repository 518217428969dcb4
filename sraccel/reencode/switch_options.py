"""What a hand-off takes from a recipe: srdiffusion's options, which decide the switch."""

from __future__ import annotations

from typing import Any

from sraccel.errors import ConflictError
from sraccel.loop.accelerator import AcceleratorOptions
from sraccel.recipe.recipe import Recipe

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
