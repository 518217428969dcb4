"""What a recipe's speedup should be, by arithmetic: nothing is run and nothing is measured.

The accelerators' forecasts say which model takes how many steps, and what share of its steps is
skipped. The costs are relative to one computed step of the pipeline's own model:

- a step of another model costs between the ratio of the parameters in the block stacks (to which
  the cost of their matrix products is proportional, for the same tokens) and the ratio of their
  blocks times their width (to which that of their attention is);
- a skipped step costs between nothing and the share of parameters outside of the block stack.

What is left out: how much of its arithmetic a device reaches (small models: less), guidance, the
scheduler, the text encoder and the VAE. On the demo pair a render step costs 0.10 by parameters and
0.14 by attention, and 0.14 to 0.15 was measured (docs/explanation/benchmarks.md).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sraccel.check.third_party import asked
from sraccel.errors import SraccelError
from sraccel.loop.denoiser import denoiser_of
from sraccel.loop.finding import Finding
from sraccel.loop.forecast import Forecast, Range

if TYPE_CHECKING:
    from sraccel.loop.accelerator import Accelerator
    from sraccel.loop.denoiser import Denoiser
    from sraccel.loop.stack import Stack
    from sraccel.recipe.recipe import Recipe

ABOUT = "speedup"
USUAL_STEPS = 50
MEASURES = "`sraccel generate --compare` measures it"
NOT_ESTIMATED = "not estimated: the recipe and the model do not go together as they are"
HEADS, HEAD_SIZE = "num_attention_heads", "attention_head_dim"


@dataclass(frozen=True)
class SpeedupEstimate:
    """A speedup by arithmetic.

    Attributes:
        speedup: of the denoising, without what is unknown.
        forecasts: what it rests on.
        unknown: what is not in it.
    """

    speedup: Range
    forecasts: list[Forecast]
    unknown: list[str]


def check_speedup(stack: Stack | None, recipe: Recipe) -> Finding:
    """What `sraccel check` reports of the speedup; `stack` is None if composing was refused."""
    if stack is None:
        return Finding("note", NOT_ESTIMATED, ABOUT)
    try:
        return Finding("note", _estimated(stack, recipe), ABOUT)
    except SraccelError as error:
        return Finding("error", str(error), getattr(error, "accelerator", None) or ABOUT)


def _estimated(stack: Stack, recipe: Recipe) -> str:
    steps = recipe.sampling.num_inference_steps
    estimate = estimate_speedup(stack, steps or USUAL_STEPS)
    composed = {accelerator.name for accelerator in stack.accelerators}
    left_out = [item.use for item in recipe.accelerators if item.use not in composed]
    unknown = [*estimate.unknown, *(f"what {name} gains" for name in left_out)]
    if not any(forecast.taken or forecast.skipped for forecast in estimate.forecasts):
        return _without_a_number(unknown)
    given = f"{steps} steps" if steps else f"{USUAL_STEPS} steps, since the recipe gives no number"
    assumed = [forecast.assumes for forecast in estimate.forecasts if forecast.assumes]
    assumptions = [given, *_costs(stack, estimate), *assumed]
    text = f"about {in_words(estimate.speedup)} by arithmetic, not measured "
    text += f"({'; '.join(assumptions)})"
    if unknown:
        text += f", without what only a run will tell: {'; '.join(unknown)}"
    if any(forecast.taken for forecast in estimate.forecasts):
        text += ". A small model seldom runs as fast as its arithmetic says"
    return f"{text}; {MEASURES}"


def estimate_speedup(stack: Stack, num_inference_steps: int) -> SpeedupEstimate:
    """Ask the accelerators of a stack, whose models may be without weights.

    Raises:
        PluginError: an accelerator's forecast cannot be made, or is of a model that is not there.
    """
    forecasts, unknown = [], []
    for accelerator in stack.accelerators:
        forecast = _forecast(accelerator, stack, num_inference_steps)
        if forecast is None:
            unknown.append(_unknown(accelerator))
            continue
        forecasts.append(forecast)
        if forecast.unknown:
            unknown.append(forecast.unknown)
    return SpeedupEstimate(_speedup(stack, num_inference_steps, forecasts), forecasts, unknown)


def relative_costs(denoiser: Denoiser, base: Denoiser) -> dict[str, float]:
    """What a step costs, in steps of another model, by what that is estimated from."""
    ratios = {"its blocks' parameters": _in_blocks(denoiser) / _in_blocks(base)}
    own, others = _attention(denoiser), _attention(base)
    if own is not None and others is not None:
        ratios["its attention"] = own / others
    return ratios


def skipped_cost(denoiser: Denoiser) -> Range:
    """What a skipped step costs, in computed steps of the same model."""
    everything = _parameters(denoiser)
    return 0.0, (everything - _in_blocks(denoiser)) / everything


def in_words(speedup: Range) -> str:
    """`1.7x to 1.8x`, or `1.8x` where both ends are that."""
    return " to ".join(dict.fromkeys(f"{number:.1f}x" for number in speedup))


def _forecast(accelerator: Accelerator, stack: Stack, steps: int) -> Forecast | None:
    with asked(accelerator.name, "forecast"):
        forecast = accelerator.forecast(stack, steps)
        for role in forecast.taken if forecast is not None else ():
            denoiser_of(stack.denoisers, role, asked_by=accelerator.name)
    return forecast


def _speedup(stack: Stack, steps: int, forecasts: list[Forecast]) -> Range:
    """Least and most; the time is linear in each quantity, so its extremes lie at the ends."""
    taken: dict[str, Range] = {}
    skipped: dict[str, Range] = {}
    for forecast in forecasts:
        taken |= forecast.taken
        skipped |= forecast.skipped
    own = _step_of_its_own(stack, skipped)
    brought = [_step_brought(stack, role, skipped) for role in taken]
    fastest, slowest = math.inf, 0.0
    for counts in itertools.product(*taken.values()):
        left = max(steps - sum(counts), 0.0)
        each = [(left, own), *zip(counts, brought, strict=True)]
        fastest = min(fastest, sum(count * cost[0] for count, cost in each))
        slowest = max(slowest, sum(count * cost[1] for count, cost in each))
    return steps / slowest, steps / fastest if fastest else math.inf


def _step_of_its_own(stack: Stack, skipped: Mapping[str, Range]) -> Range:
    """Cost of an average step of the pipeline's models; of two experts, the range of both."""
    costs = [
        _average((1.0, 1.0), skipped.get(role, (0.0, 0.0)), skipped_cost(denoiser))
        for role, denoiser in stack.denoisers.items()
        if role not in stack.contributions
    ]
    return min(cost[0] for cost in costs), max(cost[1] for cost in costs)


def _step_brought(stack: Stack, role: str, skipped: Mapping[str, Range]) -> Range:
    denoiser = stack.denoisers[role]
    costs = relative_costs(denoiser, _base(stack)).values()
    share = skipped.get(role, (0.0, 0.0))
    return _average((min(costs), max(costs)), share, skipped_cost(denoiser))


def _average(computed: Range, share: Range, skipped: Range) -> Range:
    """Cost of an average step, of which a share is skipped."""
    least = computed[0] * (1 - share[1] * (1 - skipped[0]))
    return least, computed[1] * (1 - share[0] * (1 - skipped[1]))


def _base(stack: Stack) -> Denoiser:
    """The model whose computed step is the unit: the pipeline's first."""
    return next(
        denoiser for role, denoiser in stack.denoisers.items() if role not in stack.contributions
    )


def _parameters(denoiser: Denoiser) -> int:
    return sum(parameter.numel() for parameter in denoiser.module.parameters())


def _in_blocks(denoiser: Denoiser) -> int:
    """Parameters in the block stack; of a model without one, all."""
    blocks = denoiser.adapter.blocks(denoiser.module)
    found = {parameter for block in blocks for parameter in block.parameters()}
    return sum(parameter.numel() for parameter in found) or _parameters(denoiser)


def _attention(denoiser: Denoiser) -> int | None:
    """Blocks times width; None where the configuration does not say."""
    blocks = len(denoiser.adapter.blocks(denoiser.module))
    heads, size = (denoiser.config.get(key) for key in (HEADS, HEAD_SIZE))
    known = blocks > 0 and isinstance(heads, int) and isinstance(size, int)
    return blocks * int(heads or 0) * int(size or 0) if known else None


def _unknown(accelerator: Accelerator) -> str:
    if accelerator.claims_speed:
        return f"what {accelerator.name} gains"
    return f"what {accelerator.name} costs (it claims no speed)"


def _costs(stack: Stack, estimate: SpeedupEstimate) -> Iterator[str]:
    base = _base(stack)
    for role in dict.fromkeys(role for item in estimate.forecasts for role in item.taken):
        ratios = relative_costs(stack.denoisers[role], base)
        listed = " to ".join(f"{number:.2f} (by {source})" for source, number in ratios.items())
        yield f"a {role} step costs {listed} of a {base.role} step"


def _without_a_number(unknown: list[str]) -> str:
    if not unknown:
        return "1.0x: nothing in the recipe makes this model faster"
    return f"not predictable without a run: {'; '.join(unknown)}; {MEASURES}"
