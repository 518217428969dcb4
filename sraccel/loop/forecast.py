"""What an accelerator expects of a run: steps taken by another model, and skipped ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Range = tuple[float, float]
"""(least, most); the same number twice, where it is known."""


@dataclass(frozen=True)
class Forecast:
    """What an accelerator will do in a run, as far as can be known before.

    Attributes:
        taken: how many of the run's steps a denoiser takes over that an accelerator brings, by
            role.
        skipped: share of a denoiser's steps whose blocks are skipped, from 0 to 1, by role.
        assumes: what these numbers rest on, in a few words; a prediction repeats them.
        unknown: what the numbers leave out since only a run will show it, in a few words.
    """

    taken: Mapping[str, Range] = field(default_factory=dict)
    skipped: Mapping[str, Range] = field(default_factory=dict)
    assumes: str = ""
    unknown: str = ""
