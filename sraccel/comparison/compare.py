"""Running a pipeline bare and accelerated, side by side, and measuring both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sraccel.comparison.comparison import Comparison
from sraccel.comparison.paired_runs import BrokenOff, Keep, PairedRuns
from sraccel.comparison.purity import Weights
from sraccel.comparison.timed_call import TimedCall
from sraccel.composer import compose
from sraccel.models.step_callback import Progress

if TYPE_CHECKING:
    from sraccel.loop.denoiser_adapter import DenoiserAdapter


def compare(
    pipe: Any,
    recipe: Any,
    *,
    seed: int = 0,
    repeats: int = 1,
    warmup: bool = True,
    progress: Progress | None = None,
    keep: Keep | None = None,
    broken_off: BrokenOff | None = None,
    rival: bool = False,
    adapters: Sequence[DenoiserAdapter] = (),
    **call: Any,
) -> Comparison:
    """Run a pipeline bare and accelerated, with the same noise, and measure both.

    Runs alternate, so that a machine that slows down slows down both. The bare run is timed under
    an empty stack, which changes nothing (bit for bit) and costs microseconds a call.

    Args:
        pipe: a diffusers pipeline.
        recipe: anything that `sraccel.compose` takes.
        seed: of the noise; ignored if `call` has a `generator`, whose state is reused.
        repeats: pairs of runs to measure; the speedup is the median of their ratios.
        warmup: whether to run both for a few steps first.
        progress: called after each denoising step, where the pipeline takes a callback for it.
        keep: given each timed run's output at once, so that an interrupt loses little.
        broken_off: given what the finished pairs say, if an interrupt or an error ends it early.
        rival: whether to run once more, with fewer steps at the recipe's cost and nothing else:
            placed as `steps.json` beside the weights says, else uniform.
        adapters: as for `sraccel.compose`.
        call: the pipeline's arguments. With `output_type="latent"`, quality is not measured.

    Raises:
        RecipeError, ConflictError, ModelError: as `sraccel.compose`; or the pipeline does not know
            an argument.
        LoopError: `repeats` is below 1, or a run did not finish.
        PluginError: the recipe leaves the pipeline's weights changed.
    """
    weights = Weights.of(pipe)
    stack = compose(pipe, recipe, adapters=adapters)
    timed = TimedCall(pipe, call, seed, progress)
    return PairedRuns(pipe, stack, timed, keep, adapters, broken_off, weights, rival).compare(
        repeats, warmup
    )
