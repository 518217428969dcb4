"""Which is better on held-out prompts: the tuned recipe or the shipped one."""

from __future__ import annotations

from collections.abc import Sequence

from sraccel.study.results import Estimate
from sraccel.tuning.candidate import Candidate
from sraccel.tuning.confirming import Confirming
from sraccel.tuning.outcome import Measured, Verdict


def verdict_of(
    confirming: Confirming, tuned: Measured | None, shipped: Measured | None
) -> tuple[Verdict, str]:
    """The verdict, and the same in a sentence."""
    if tuned is None or shipped is None:
        return "not compared", _not_compared(tuned, shipped)
    if not shipped.accelerators:
        return "not compared", f"the recipe is empty; {_figures(tuned)}"
    one, other = (Candidate(accelerators=item.accelerators) for item in (tuned, shipped))
    speed, quality = confirming.faster(one, other), confirming.better(one, other)
    if one.key == other.key or speed is None or quality is None:
        return "no difference", f"the shipped recipe is itself the best: {_figures(shipped)}"
    faster, better = _side(speed, 1.0), _side(quality, 0.0)
    both = f"{_figures(tuned)}, and the shipped recipe {_figures(shipped)}"
    if tuned.meets != shipped.meets:
        winner: Verdict = "tuned" if tuned.meets else "shipped"
        miss = "the shipped recipe" if tuned.meets else "the tuned one"
        wanted = "the quality that is" if confirming.memory is None else "what is"
        return winner, f"{both}: {miss} misses {wanted} asked for"
    if faster * better < 0:
        return "trade", f"{both}: one is faster, the other one is better in quality"
    if faster + better == 0:
        return "no difference", f"{both}: they cannot be told apart on these prompts"
    if faster + better > 0:
        return "tuned", f"{both}: the tuned one is better"
    return "shipped", f"{both}: keep the shipped recipe"


def rival_ahead(best: Measured | None, points: Sequence[Measured]) -> str | None:
    """What fewer steps and nothing else do better than the best point, in a sentence."""
    rivals = [one for one in points if one.kind == "rival" and one.meets]
    rival = max(rivals, key=lambda one: one.speedup.value, default=None)
    if rival is None or best is None:
        return None
    if best.meets and rival.speedup.value <= best.speedup.value:
        return None
    figures = f"{rival.speedup.value:.2f}x at {rival.quality.value:.4g}"
    return f"fewer steps alone, {rival.label}, do better than {best.name}: {figures}"


def _side(estimate: Estimate, zero: float) -> int:
    """1 or -1 where the interval lies on one side; 0 where it does not, or is not known."""
    if estimate.low is None or estimate.high is None:
        return 0
    return int(estimate.low > zero) - int(estimate.high < zero)


def _not_compared(tuned: Measured | None, shipped: Measured | None) -> str:
    if tuned is None and shipped is None:
        return "nothing was run on held-out prompts yet"
    if tuned is None:
        return "no tuned recipe was run on held-out prompts"
    return "the shipped recipe does not run here, so there is nothing to compare with"


def _figures(one: Measured) -> str:
    return f"{one.name} gives {one.speedup.value:.2f}x at {one.quality.value:.4g}"
