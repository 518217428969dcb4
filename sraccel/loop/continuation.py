"""Where a run begins that goes on with another one's, made elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Continuation:
    """What a run must know of the steps that were taken before it.

    Attributes:
        begin: position in the scheduler's timesteps at which the first step of all lies.
        next_step: index of the step that comes; steps keep their numbers.
        denoiser: role of the model that took the last step before.
        decided: what accelerators had decided by then, by their name; see `Accelerator.decided`.
    """

    begin: int
    next_step: int
    denoiser: str
    decided: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
