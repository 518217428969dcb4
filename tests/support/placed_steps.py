"""Fewer steps at chosen positions of a scheduler's own grid of noise levels.

with placed_steps(pipe, [0, 1, 3, 7, 15, 30]):
    pipe(prompt=..., num_inference_steps=50)  # takes six steps
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from diffusers import UniPCMultistepScheduler

_Base: Any = UniPCMultistepScheduler


class PlacedScheduler(_Base):
    """UniPC on some positions of the grid that it is asked for, with the last noise level, 0.

    The solver's history is empty where `set_timesteps` ends, so it never sees a step left out.

    Attributes:
        positions: in the grid, 0-based; None: all of them.
    """

    positions: Sequence[int] | None = None

    def set_timesteps(
        self, num_inference_steps: int | None = None, device: Any = None, **kwargs: Any
    ) -> None:
        """As UniPC's; then only the chosen positions are left.

        Raises:
            ValueError: they are no positions of this grid.
        """
        super().set_timesteps(num_inference_steps, device, **kwargs)
        if self.positions is None:
            return
        chosen = checked_positions(self.positions, len(self.timesteps))
        self.timesteps = self.timesteps[chosen]
        self.sigmas = self.sigmas[[*chosen, -1]]
        self.num_inference_steps = len(chosen)


def checked_positions(positions: Sequence[int], steps: int) -> list[int]:
    """The positions as a list.

    Raises:
        ValueError: they do not begin at 0, do not rise, or lie beyond the grid of `steps` steps.
    """
    chosen = [int(position) for position in positions]
    if not chosen or chosen[0] != 0:
        raise ValueError(
            f"positions {chosen} do not begin with 0: the noise that a run begins with belongs to "
            f"the first noise level of the grid"
        )
    if sorted(set(chosen)) != chosen:
        raise ValueError(f"positions {chosen} do not rise: a step cannot be taken twice, or back")
    if chosen[-1] >= steps:
        raise ValueError(f"position {chosen[-1]} lies beyond the {steps} steps of the grid")
    return chosen


@contextmanager
def placed_steps(pipe: Any, positions: Sequence[int] | None = None, **config: Any) -> Iterator[Any]:
    """Give a pipeline a placed scheduler inside the block; compose stacks inside it, too.

    Args:
        pipe: a pipeline whose scheduler is UniPC.
        positions: in the grid that the call asks for; None: all.
        config: what the scheduler's configuration changes beside it (`flow_shift`).

    Raises:
        TypeError: the pipeline's scheduler is another one.
    """
    plain = pipe.scheduler
    if not isinstance(plain, UniPCMultistepScheduler):
        raise TypeError(
            f"steps are placed for UniPC only, whose history is known: the pipeline's scheduler is "
            f"{type(plain).__name__}"
        )
    pipe.scheduler = PlacedScheduler.from_config(plain.config, **config)
    pipe.scheduler.positions = positions
    try:
        yield pipe
    finally:
        pipe.scheduler = plain
