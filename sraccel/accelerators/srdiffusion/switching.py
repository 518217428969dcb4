"""When the render model takes over (arXiv 2505.19151, the adaptive switch).

The metric is taken on the guided noise prediction of consecutive steps, once per step, in float32:

    D_i = mean|eps_i - eps_(i-1)| / mean|eps_(i-1)|

and the switch comes after step i when its fall has nearly stopped: 0 < D_(i-1) - D_i < threshold.
The paper writes the difference with time running down; what is meant is that D falls, and hardly.

A cache breaks this rule: a skipped step's prediction is nearly the previous one, so D is
saw-toothed. The per-step rule therefore compares computed steps only, divides by their distance,
smooths (exponential mean, 0.5) and wants two hits in a row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from sraccel.plugin import rel_l1_distance

if TYPE_CHECKING:
    import torch

Rule = Literal["auto", "paper", "per_step"]
SMOOTHING = 0.5
HITS_IN_A_ROW = 2


class PaperRule:
    """The paper's rule, to the letter."""

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self._previous: float | None = None

    def hit(self, d: float) -> bool:
        """Whether D's fall to this step has nearly stopped."""
        previous, self._previous = self._previous, d
        return previous is not None and 0 < previous - d < self._threshold


class PerStepRule:
    """The same question between computed steps: D per step, its change per step, smoothed."""

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self._smoothed: float | None = None
        self._midpoint = 0.0
        self._hits = 0

    def hit(self, d: float, gap: int, step_index: int) -> bool:
        """Whether the fall has nearly stopped, for a D over `gap` steps up to this one."""
        per_step, midpoint = d / gap, step_index - gap / 2
        before, before_midpoint = self._smoothed, self._midpoint
        self._midpoint = midpoint
        if before is None:
            self._smoothed = per_step
            return False
        self._smoothed = SMOOTHING * per_step + (1 - SMOOTHING) * before
        fall = (before - self._smoothed) / (midpoint - before_midpoint)
        self._hits = self._hits + 1 if 0 < fall < self._threshold else 0
        return self._hits >= HITS_IN_A_ROW


class SwitchDetector:
    """Watches a run's guided predictions and says when to switch.

    The per-step rule is fed from the first step on, so that `auto` can change over to it when a
    cache first skips one.

    Attributes:
        switched: whether the render model is to take the next step.
        rule: the rule that is in force: `paper` or `per_step`.
    """

    def __init__(self, options: Any) -> None:
        self._options = options
        self.switched = False
        self.rule: str = "paper" if options.rule == "auto" else options.rule
        self.restart()

    def restart(self) -> None:
        """Forget the predictions so far: another model makes the next ones."""
        self._consecutive = _Differences()
        self._computed = _Differences()
        self._paper = PaperRule(self._options.threshold)
        self._per_step = PerStepRule(self._options.threshold)

    def observe(
        self, step_index: int, noise_pred: torch.Tensor, computed: bool
    ) -> torch.Tensor | None:
        """Take a step's guided prediction; returns the metric D (0-dim), None at the first step."""
        noise_pred = noise_pred.float()
        if not computed and self._options.rule == "auto":
            self.rule = "per_step"
        hit = False
        d, _ = self._consecutive.take(step_index, noise_pred)
        if d is not None and self._options.switch_step is None and self.rule == "paper":
            hit = self._paper.hit(float(d))
        if computed and self._options.switch_step is None and self._options.rule != "paper":
            since, gap = self._computed.take(step_index, noise_pred)
            if since is not None:
                hit_per_step = self._per_step.hit(float(since), gap, step_index)
                hit = hit_per_step if self.rule == "per_step" else hit
        self._decide(step_index, hit)
        return d

    def _decide(self, step_index: int, hit: bool) -> None:
        options = self._options
        late = options.max_step is not None and step_index >= options.max_step
        self.switched = self.switched or late or (hit and step_index >= options.min_step)


class _Differences:
    """D between the predictions it is given, and how many steps lie between them."""

    def __init__(self) -> None:
        self._previous: torch.Tensor | None = None
        self._index = 0

    def take(self, step_index: int, noise_pred: torch.Tensor) -> tuple[torch.Tensor | None, int]:
        previous, gap = self._previous, step_index - self._index
        self._previous, self._index = noise_pred, step_index
        if previous is None:
            return None, 0
        distance: torch.Tensor = rel_l1_distance(noise_pred, previous)
        return distance, gap
