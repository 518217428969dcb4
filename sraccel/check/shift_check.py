"""Whether a recipe's settings were chosen at the flow shift that the model is run at."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from sraccel.loop.finding import Finding
from sraccel.noise.flow_shift import flow_shift, same_shift

if TYPE_CHECKING:
    from sraccel.loop.stack import Stack
    from sraccel.recipe.recipe import Recipe

ABOUT = "flow shift"


def check_shift(stack: Stack, recipe: Recipe) -> Iterator[Finding]:
    """A warning where the recipe says another shift than the scheduler's."""
    chosen = recipe.flow_shift
    config = getattr(getattr(stack.pipeline, "scheduler", None), "config", {})
    actual = flow_shift(config)
    if chosen is None or actual is None or same_shift(chosen, actual):
        return
    steps = "fewer" if actual > chosen else "more"
    yield Finding(
        "warning",
        f"the recipe's settings were chosen at flow shift {chosen:g}, and this model's scheduler "
        f"has {actual:g}, so that {steps} steps lie at low noise: where the switch comes, what a "
        f"threshold skips and what both are worth do not carry over. Measure them here "
        f"(`sraccel study`), or give the scheduler the recipe's shift; see "
        f"docs/explanation/shift.md",
        ABOUT,
    )
