"""TeaCache's rule (arXiv 2411.19108, section 3.3), for one guidance branch of one denoiser."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sraccel.plugin import rel_l1_distance

if TYPE_CHECKING:
    import torch

    from sraccel.accelerators.teacache.coefficients import Coefficients
    from sraccel.plugin import DenoiserAdapter

COEFFICIENT_COUNT = 5
RETENTION_INPUT = "time_projection"


@dataclass(frozen=True)
class ForcedSteps:
    """Steps of a run that are always computed.

    Attributes:
        first: how many at the beginning.
        first_share: how many at the beginning, as a share of the run's steps.
        last: whether the last one is.
    """

    first: int = 1
    first_share: float = 0.0
    last: bool = True

    def __call__(self, step_index: int, num_inference_steps: int) -> bool:
        """Whether this step of a run of so many is one of them."""
        if step_index < max(self.first, self.first_share * num_inference_steps):
            return True
        return self.last and step_index == num_inference_steps - 1


FAMILIES_OF_THEIR_OWN = {"hidream": ForcedSteps(first_share=0.1, last=False)}
"""Families for which the official code forces other steps than the first and the last."""


class Variant(enum.Enum):
    """The two variants that the official code has for Wan."""

    PLAIN = "plain"
    RETENTION = "retention"

    def modulated_input(self, adapter: DenoiserAdapter) -> str | None:
        """Name of the family's modulated input that the variant decides by; None: it has none."""
        if self is Variant.PLAIN:
            return next(iter(adapter.modulated_inputs), None)
        return RETENTION_INPUT if RETENTION_INPUT in adapter.modulated_inputs else None

    def forced_steps(self, family: str) -> ForcedSteps:
        """The steps that the official code always computes for a family."""
        if self is Variant.RETENTION:
            return ForcedSteps(first=5, last=False)
        return FAMILIES_OF_THEIR_OWN.get(family, ForcedSteps())

    def rule(self, adapter: DenoiserAdapter, coefficients: Coefficients, threshold: float) -> Rule:
        """The rule for a family; the variant must have a modulated input there."""
        name = self.modulated_input(adapter)
        assert name is not None
        return Rule(coefficients, threshold, self.forced_steps(adapter.family), name)


@dataclass(frozen=True)
class Rule:
    """When to skip, for the calls of one denoiser.

    Attributes:
        coefficients: the polynomial that rescales a distance.
        threshold: skip while the accumulated, rescaled distance is below it.
        forced: steps that are computed whatever the distance.
        modulated_input: name of the family's tensor whose distance is meant.
    """

    coefficients: Coefficients
    threshold: float
    forced: ForcedSteps
    modulated_input: str

    def advance(self, accumulated: float, distance: float) -> tuple[bool, float]:
        """Whether to skip after a further distance, and what is accumulated then.

        There is no `abs` around the polynomial: negative values occur, and taking them as they are
        is what the published thresholds were chosen with.
        """
        accumulated += self.coefficients(distance)
        return (True, accumulated) if accumulated < self.threshold else (False, 0.0)

    def skipped(
        self, distances: Sequence[float | None], steps: Sequence[int], num_inference_steps: int
    ) -> Iterator[int]:
        """The steps that it skips of those that a denoiser takes in a row.

        Args:
            distances: of the modulated input at each of these steps to the one before, skipped or
                not; None: there was none.
            steps: their indices.
            num_inference_steps: of the run.
        """
        accumulated = 0.0
        for distance, step in zip(distances, steps, strict=True):
            if distance is None or self.forced(step, num_inference_steps):
                accumulated = 0.0
                continue
            skip, accumulated = self.advance(accumulated, distance)
            if skip:
                yield step


@dataclass
class BranchState:
    """What the rule remembers of one guidance branch.

    Attributes:
        accumulated: rescaled change since the last computed step.
        previous: modulated input of the step before, skipped or not.
    """

    accumulated: float = 0.0
    previous: torch.Tensor | None = None

    @property
    def nbytes(self) -> int:
        """How much memory the tensor takes."""
        return 0 if self.previous is None else self.previous.nbytes

    def decide(self, rule: Rule, modulated_input: torch.Tensor, forced: bool) -> bool:
        """Whether to skip this call; updates the state either way."""
        previous, self.previous = self.previous, modulated_input
        if forced or previous is None:
            skip, self.accumulated = False, 0.0
        else:
            distance = float(rel_l1_distance(modulated_input, previous))
            skip, self.accumulated = rule.advance(self.accumulated, distance)
        return skip
