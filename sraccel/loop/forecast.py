"""What an accelerator expects of a run: steps taken by another model, and skipped ones."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

Range = tuple[float, float]
"""(least, most); the same number twice, where it is known."""
Skips = Callable[[Sequence[int]], Collection[int]]
"""Given the steps that a denoiser takes (0-based, in order, one at least): those that are skipped.
Which steps it takes, another accelerator may decide. A first step is never skipped, whatever is
said of it."""


@dataclass(frozen=True)
class Forecast:
    """What an accelerator will do in a run, as far as can be known before.

    Attributes:
        taken: how many of the run's steps a denoiser takes over that an accelerator brings, by
            role.
        skips: which of a denoiser's steps are skipped, by role; see `evenly`.
        assumes: what these numbers rest on, in a few words; a prediction repeats them.
        unknown: what the numbers leave out since only a run will show it, in a few words.
    """

    taken: Mapping[str, Range] = field(default_factory=dict)
    skips: Mapping[str, Skips] = field(default_factory=dict)
    assumes: str = ""
    unknown: str = ""


def evenly(share: float) -> Skips:
    """A share of the steps, from 0 to 1, as even as can be: where no more is known than that."""

    def skips(steps: Sequence[int]) -> list[int]:
        count = min(round(share * len(steps)), max(len(steps) - 1, 0))
        return [steps[1 + index * (len(steps) - 1) // count] for index in range(count)]

    return skips
