"""TeaCache's rule (arXiv 2411.19108, section 3.3), for one guidance branch of one denoiser."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sraccel.plugin import rel_l1_distance

if TYPE_CHECKING:
    import torch

    from sraccel.accelerators.teacache.coefficients import Coefficients
    from sraccel.plugin import DenoiserAdapter

COEFFICIENT_COUNT = 5
RETENTION_WARM_UP = 5
RETENTION_INPUT = "time_projection"


class Variant(enum.Enum):
    """The two variants that the official code has for Wan."""

    PLAIN = "plain"
    RETENTION = "retention"

    def modulated_input(self, adapter: DenoiserAdapter) -> str | None:
        """Name of the family's modulated input that the variant decides by; None: it has none."""
        if self is Variant.PLAIN:
            return adapter.modulated_inputs[0]
        return RETENTION_INPUT if RETENTION_INPUT in adapter.modulated_inputs else None

    def forces(self, step_index: int, num_inference_steps: int) -> bool:
        """Whether the official code always computes this step."""
        if self is Variant.RETENTION:
            return step_index < RETENTION_WARM_UP
        return step_index in (0, num_inference_steps - 1)


@dataclass
class BranchState:
    """What the rule remembers.

    Attributes:
        accumulated: rescaled change since the last computed step.
        previous: modulated input of the step before, skipped or not.
        residual: the block stack's output minus its input, at the last computed step.
    """

    accumulated: float = 0.0
    previous: torch.Tensor | None = None
    residual: torch.Tensor | None = None

    def decide(
        self,
        modulated_input: torch.Tensor,
        coefficients: Coefficients,
        threshold: float,
        forced: bool,
    ) -> bool:
        """Whether to skip; updates the state either way.

        There is no `abs` around the polynomial: negative values occur, and taking them as they are
        is what the published thresholds were chosen with. A threshold of 0 never skips.
        """
        previous, self.previous = self.previous, modulated_input
        if forced or threshold == 0 or previous is None or self.residual is None:
            self.accumulated = 0.0
            return False
        self.accumulated += coefficients(float(rel_l1_distance(modulated_input, previous)))
        if self.accumulated < threshold:
            return True
        self.accumulated = 0.0
        return False
