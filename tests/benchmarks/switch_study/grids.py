"""Grids of noise levels: the full one, fewer uniform steps, and fewer steps placed on the full one.

Placed steps are the full grid's positions `round(steps * (j / n) ** power)`, j = 0 to n - 1. The
power is chosen on prompts of their own, by the distance of the final latents to the full run's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from forks import Embeds, Forks, Pair

POWERS = (1.0, 1.5, 2.0, 2.5, 3.0)


def uniform_grid(scheduler: Any, num_steps: int) -> Any:
    """A scheduler of this kind with so many steps and no history."""
    made = type(scheduler).from_config(scheduler.config)
    made.set_timesteps(num_steps)
    return made


def placed_grid(scheduler: Any, num_steps: int, positions: Sequence[int]) -> Any:
    """The same, of which only these positions are left, and the end."""
    made = uniform_grid(scheduler, num_steps)
    kept = list(positions)
    made.timesteps = made.timesteps[kept]
    made.sigmas = torch.cat([made.sigmas[kept], made.sigmas[-1:]])
    made.num_inference_steps = len(kept)
    return made


def power_positions(num_steps: int, count: int, power: float) -> list[int]:
    """`count` rising positions of a grid of `num_steps`, from 0, denser at the start."""
    positions: list[int] = []
    for j in range(count):
        wanted = round(num_steps * (j / count) ** power)
        positions.append(max(wanted, positions[-1] + 1) if positions else wanted)
    return positions


def best_placements(
    pair: Pair,
    scheduler: Any,
    latents: torch.Tensor,
    embeds: Embeds,
    num_steps: int,
    counts: Sequence[int],
) -> dict[int, list[int]]:
    """For each number of steps the positions that keep nearest to the full run on these prompts."""

    def final(grid: Any) -> torch.Tensor:
        made = Forks(pair, grid, latents, embeds).finish()
        return made[len(grid.timesteps)]

    full = final(uniform_grid(scheduler, num_steps))
    chosen = {}
    for count in counts:
        candidates = [power_positions(num_steps, count, power) for power in POWERS]
        errors = [
            float((final(placed_grid(scheduler, num_steps, each)) - full).square().mean())
            for each in candidates
        ]
        chosen[count] = candidates[errors.index(min(errors))]
    return chosen
