"""When the render model takes over (arXiv 2505.19151, the adaptive switch).

The metric is taken on the guided noise prediction of consecutive steps, once per step, in float32:

    D_i = mean|eps_i - eps_(i-1)| / mean|eps_(i-1)|

and the switch comes after step i when its fall has nearly stopped: 0 < D_(i-1) - D_i < threshold.

Two things are read into the paper. It writes the difference with time running down, which taken
literally is a rise of D; its figures and its text speak of a fall that levels off, and that is what
is asked here. It also speaks of the "denoised sample", where its formula has the noise prediction:
`metric_on: x0` takes D of the clean latents that the guided prediction implies instead. The two
switch at different steps, so a threshold belongs to one of them.

A cache breaks this rule: a skipped step's prediction is nearly the previous one, so D is
saw-toothed. The per-step rule looks at computed steps only, and asks of D between them what the
paper asks:

- *per step*: D is divided by the steps that it spans, its fall by the distance of two such spans;
- *now*: D falls about geometrically, so its fall is continued from the middle of the two spans,
  where it was measured, to the last step;
- *as readily*: the paper's rule looks at every step and fires at the first wiggle of D; this one
  looks seldom, at means with less of it, so the threshold grows with the distance, by its square
  root (in proportion keeps as near, but errs early, and early costs more quality than late gains);
- *for certain*: where D fell before and now rises, its fall has ended between two looks.

Without a skip all four change nothing, and the rule is the paper's. At a skipped step the last
look's answer stands (it counts where `min_step` comes between looks).

How near that comes to the uncached switch, measured: docs/explanation/benchmarks.md.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

from sraccel.plugin import (
    Accelerator,
    Column,
    LoopError,
    Step,
    clean_latents,
    rel_l1_distance,
)

if TYPE_CHECKING:
    import torch

Rule = Literal["auto", "paper", "per_step"]
Decider = Literal["metric", "min_step", "max_step", "fixed"]
"""What let the switch come when it came: see `SwitchDetector.decided_by`."""

COLUMNS = {
    "noise_rel_l1": Column(
        "D", "relative L1 change of the guided prediction (or its x0 estimate), step to step"
    ),
    "noise_rel_l1_per_step": Column(
        "D per step",
        "the same from one computed step to the next, per step; it decides once a step was skipped",
    ),
}


class PaperRule:
    """The paper's rule on every step, as it is read above."""

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self._previous: float | None = None

    def hit(self, d: float) -> bool:
        """Whether D's fall to this step has nearly stopped."""
        previous, self._previous = self._previous, d
        return previous is not None and 0 < previous - d < self._threshold


class PerStepRule:
    """The same question where a cache skips steps: between computed steps, per step."""

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self._rate: float | None = None
        self._midpoint = 0.0
        self._fell = False

    def hit(self, d: float, gap: int, step_index: int) -> bool:
        """Whether the fall has nearly stopped, for a D over `gap` steps up to this one."""
        before, before_midpoint = self._rate, self._midpoint
        rate, midpoint = d / gap, step_index - gap / 2
        self._rate, self._midpoint = rate, midpoint
        if before is None:
            return False
        distance = midpoint - before_midpoint
        fall = (before - rate) / distance
        if rate < before:
            self._fell = True
            age = step_index - 1 - (before_midpoint + midpoint) / 2
            fall *= (rate / before) ** (age / distance)
        ended_unseen = self._fell and distance > 1
        return fall < self._threshold * math.sqrt(distance) and (fall > 0 or ended_unseen)


class SwitchDetector:
    """Watches a run's guided predictions and says when to switch.

    The per-step rule is fed from the first step on, so that `auto` can change over to it when a
    cache first skips one.

    Attributes:
        switched: whether the metric has said that the render model takes over.
        rule: the rule that is in force: `paper`, `per_step`, or `fixed` by step or noise level.
        decided_by: None before the switch. `metric`: its first hit that counted came then.
            `min_step`: it had hit before, and was held back until then. `max_step`: it had not
            hit. `fixed`: `switch_step` or `switch_sigma`.
        d_per_step: what the per-step rule saw at the last step; None: nothing, or it is not asked.
    """

    def __init__(self, options: Any) -> None:
        self._options = options
        self.switched = False
        self.decided_by: Decider | None = None
        self._held_back = False
        self.d_per_step: float | None = None
        self.rule: str = "paper" if options.rule == "auto" else options.rule
        if not options.adaptive:
            self.rule = "fixed"
        self.restart()

    def restart(self) -> None:
        """Forget the predictions so far: another model makes the next ones."""
        self._consecutive = _Differences()
        self._computed = _Differences()
        self._paper = PaperRule(self._options.threshold)
        self._per_step = PerStepRule(self._options.threshold)
        self._last_look = False

    def notes(self) -> dict[str, str]:
        """The rule that was in force, and what decided the switch if it came; for the report."""
        decided = {} if self.decided_by is None else {"switch_decided_by": self.decided_by}
        return {"switch_rule": self.rule, **decided}

    def render_takes(self, step_index: int, sigma: float | None) -> bool:
        """Whether this step is the render model's; ask after the steps before were observed.

        Raises:
            LoopError: the noise level is to decide, and is not known.
        """
        if self._options.adaptive:
            return self.switched
        takes = self._fixed(step_index, sigma)
        self.decided_by = "fixed" if takes else self.decided_by
        return takes

    def _fixed(self, step_index: int, sigma: float | None) -> bool:
        options = self._options
        if options.switch_step is not None:
            return bool(step_index >= options.switch_step)
        if sigma is None:
            raise LoopError(
                "srdiffusion: `switch_sigma` needs the noise level: pass `sigma` to `run.step` in "
                "your loop, or fix `switch_step`"
            )
        return bool(sigma <= options.switch_sigma)

    def measure(self, step: Step, accelerator: Accelerator) -> None:
        """Take a finished step's guided prediction, and put into its columns what that showed.

        Raises:
            LoopError: as `clean_latents`, if the metric is taken on those.
        """
        assert step.noise_pred is not None
        on_x0 = self._options.adaptive and self._options.metric_on == "x0"
        watched = clean_latents(step) if on_x0 else step.noise_pred
        d = self.observe(step.solver_step, watched, step.computed)
        step.measure(accelerator, noise_rel_l1=d, noise_rel_l1_per_step=self.d_per_step)

    def observe(
        self, step_index: int, noise_pred: torch.Tensor, computed: bool
    ) -> torch.Tensor | None:
        """Take a step's guided prediction, or the clean latents that it implies.

        Returns:
            the metric D (0-dim); None at the first step.
        """
        noise_pred = noise_pred.float()
        self.d_per_step = None
        d, _ = self._consecutive.take(step_index, noise_pred)
        if self.rule == "fixed":
            return d
        if not computed and self._options.rule == "auto":
            self.rule = "per_step"
        self._decide(step_index, self._hit(d, step_index, noise_pred, computed))
        return d

    def _hit(
        self, d: torch.Tensor | None, step_index: int, noise_pred: torch.Tensor, computed: bool
    ) -> bool:
        per_step = False
        if self._options.rule != "paper":
            per_step = self._hit_per_step(step_index, noise_pred, computed)
        if self.rule == "per_step":
            return per_step
        return d is not None and self._paper.hit(float(d))

    def _hit_per_step(self, step_index: int, noise_pred: torch.Tensor, computed: bool) -> bool:
        if computed:
            d, gap = self._computed.take(step_index, noise_pred)
            self._last_look = d is not None and self._per_step.hit(float(d), gap, step_index)
            if d is not None and self.rule == "per_step":
                self.d_per_step = float(d) / gap
        return self._last_look

    def _decide(self, step_index: int, hit: bool) -> None:
        options = self._options
        if self.switched:
            return
        if hit and step_index >= options.min_step:
            held_back = self._held_back and step_index == options.min_step
            self.decided_by = "min_step" if held_back else "metric"
        elif options.max_step is not None and step_index >= options.max_step:
            self.decided_by = "max_step"
        self._held_back = self._held_back or hit
        self.switched = self.decided_by is not None


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
