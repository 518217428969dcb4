"""One thing that a check found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Finding:
    """One thing that a check found.

    Attributes:
        level: `error` will be refused, `warning` will do nothing (or less than one may think),
            `note` is good to know.
        message: what it is.
        about: an accelerator, `model`, `memory` or `speedup`; empty: the recipe.
        place: where in a file, as in `recipe.yaml:3:5`; empty: not known.
        between: the accelerators, where they contradict each other.
    """

    level: Level
    message: str
    about: str = ""
    place: str = ""
    between: tuple[str, ...] = ()
