"""What the bare run shows at each step, prompt by prompt: the signals that could decide a switch.

Everything is known when the step's prediction is: a policy that switches before step k may look at
steps 0 to k - 1. `disagreement` is not of the bare run: it takes the render model's prediction too.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from forks import SketchStep

from sraccel.plugin import rel_l1_distance

Compared = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
Row = dict[str, list[float | None]]


class FeatureTrace:
    """Collects the features of some prompts' bare runs, step by step."""

    def __init__(self, prompts: int) -> None:
        self.rows: list[Row] = [{} for _ in range(prompts)]
        self._previous: SketchStep | None = None

    def add(self, step: SketchStep) -> None:
        """Take the next step."""
        found = {**_changes(step, self._previous), **_levels(step)}
        self._previous = step
        for name, values in found.items():
            for row, value in zip(self.rows, values, strict=True):
                row.setdefault(name, []).append(value)


def _changes(step: SketchStep, previous: SketchStep | None) -> dict[str, list[float | None]]:
    """From the step before; None at the first one. `d` is the paper's metric."""
    names: dict[str, tuple[str, Compared]] = {
        "d": ("guided", rel_l1_distance),
        "x0_d": ("x0", rel_l1_distance),
        "cond_d": ("cond", rel_l1_distance),
        "uncond_d": ("uncond", rel_l1_distance),
        "x0_change": ("x0", rel_l2_distance),
        "turn": ("guided", cosine_distance),
    }
    if previous is None:
        return {name: [None] * len(step.latents) for name in names}
    return {
        name: each_prompt(compared, getattr(step, part), getattr(previous, part))
        for name, (part, compared) in names.items()
    }


def _levels(step: SketchStep) -> dict[str, list[float | None]]:
    disagreement: list[float | None] = [None] * len(step.latents)
    if step.render is not None:
        disagreement = each_prompt(rel_l1_distance, step.render, step.guided)
    return {
        "guidance": each_prompt(rel_l1_distance, step.cond, step.uncond),
        "guided_norm": each_prompt(relative_norm, step.guided, step.uncond),
        "x0_norm": each_prompt(relative_norm, step.x0, step.latents),
        "disagreement": disagreement,
    }


def each_prompt(
    compared: Compared, current: torch.Tensor, previous: torch.Tensor
) -> list[float | None]:
    """A comparison row by row, so that no prompt's figure depends on the batch that it is in."""
    return [float(compared(*rows)) for rows in zip(current, previous, strict=True)]


def rel_l2_distance(current: torch.Tensor, previous: torch.Tensor) -> torch.Tensor:
    """`|current - previous| / |previous|`, Euclidean."""
    return (current - previous).norm() / previous.norm()


def cosine_distance(current: torch.Tensor, previous: torch.Tensor) -> torch.Tensor:
    """One less the cosine of the angle between them."""
    return 1 - (current * previous).sum() / (current.norm() * previous.norm())


def relative_norm(of: torch.Tensor, to: torch.Tensor) -> torch.Tensor:
    """`|of| / |to|`, Euclidean."""
    return of.norm() / to.norm()
