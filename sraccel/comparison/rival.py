"""The rival of a recipe: fewer steps, well placed, at the same cost, and nothing else.

It takes most of what a cache gains, so a comparison shows it where that is asked for.
"""

from __future__ import annotations

import math
from typing import Any, Literal

from sraccel.calibration.budgets import budgets_for
from sraccel.errors import ModelError
from sraccel.loop.stack import Stack
from sraccel.report.model import Report

Placement = Literal["calibrated", "uniform"]


def affordable_steps(report: Report) -> int | None:
    """How many plain steps take no less time than the recipe; None: it takes no less than all.

    What emulated kernels cost is no cost of the recipe's: an emulation claims no speed.
    """
    measured = report.speedup.measured
    if measured is None or not report.steps:
        return None
    costs = [record.overhead for record in report.accelerators if record.overhead]
    speedup = measured / math.prod(cost for cost in costs if cost < 1)
    steps = report.asked_steps or report.num_inference_steps
    number = math.ceil(steps / speedup)
    return number if number < steps else None


def placed(stack: Stack, number: int) -> tuple[int, Placement]:
    """The steps that are taken: as many as the model is calibrated for, and no fewer if it can be.

    Without a calibration beside the weights they are uniform.
    """
    try:
        known = budgets_for("steps", stack.own).budgets
    except ModelError:
        return number, "uniform"
    return min((n for n in known if n >= number), default=max(known)), "calibrated"


def rival_recipe(number: int, placement: Placement) -> list[dict[str, Any]]:
    """The rival as a recipe."""
    return [{"use": "steps", "number": number, "placement": placement}]
