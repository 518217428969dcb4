"""Measuring two pipelines that share the work against the sketch pipeline alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sraccel.comparison.bench import Bench, Comparison, Keep, PipelineCall, Progress
from sraccel.errors import LoopError
from sraccel.recipe.recipe import Recipe
from sraccel.reencode.handoff import SRDIFFUSION, Handoff, PipelinePair
from sraccel.reencode.interrupted_call import CALLBACK

if TYPE_CHECKING:
    from sraccel.loop.denoiser_adapter import DenoiserAdapter

FEW_STEPS = 3
"""Of a run that warms up."""


def compare_handoff(
    sketch_pipe: Any,
    render_pipe: Any,
    recipe: Any,
    *,
    seed: int = 0,
    repeats: int = 1,
    warmup: bool = True,
    progress: Progress | None = None,
    keep: Keep | None = None,
    render_call: Mapping[str, Any] | None = None,
    adapters: Sequence[DenoiserAdapter] = (),
    **call: Any,
) -> Comparison:
    """Run the sketch pipeline bare, and both by `sraccel.handoff`, and measure both ways.

    As `sraccel.compare`, with the arguments of `sraccel.handoff`. The hand-off counts as part of
    the accelerated loop, but not of the predicted speedup. What the render model's calls cost is
    not measured apart from that run, so factors are estimates.

    Raises:
        RecipeError, ConflictError, ModelError: as `sraccel.handoff`.
        LoopError: `repeats` is below 1, or a run did not finish.
    """
    if repeats < 1:
        raise LoopError(f"repeats must be 1 or more, not {repeats}")
    recipe = Recipe.load(recipe)
    timed = PipelineCall(sketch_pipe, call, seed, progress)
    call = {**call, "generator": timed.arguments["generator"]}
    pipes = (sketch_pipe, render_pipe)
    pair = PipelinePair(*pipes, recipe, render_call=render_call, adapters=adapters, **call)
    brief = PipelinePair(
        *(*pipes, _switching_at_once(recipe)),
        render_call={**(render_call or {}), "num_inference_steps": FEW_STEPS},
        adapters=adapters,
        **{**call, "num_inference_steps": FEW_STEPS},
    )
    return _PairBench(pair, brief, timed, keep, adapters).compare(repeats, warmup)


def _switching_at_once(recipe: Recipe) -> Recipe:
    """The recipe, with the switch after the first step: a few steps then run both models."""
    at_once = {"switch_step": 1, "switch_sigma": None}
    items = [
        item.model_copy(update=at_once) if item.use == SRDIFFUSION else item
        for item in recipe.accelerators
    ]
    return recipe.model_copy(update={"accelerators": items})


def _told(pair: PipelinePair) -> Callable[..., Handoff]:
    """Runs a pair, which has its arguments already, with the callback that tells progress."""
    return lambda **arguments: pair.run(arguments.get(CALLBACK))


class _PairBench(Bench):
    """Its accelerated runs are those of a pair of pipelines."""

    def __init__(
        self,
        pair: PipelinePair,
        brief: PipelinePair,
        call: PipelineCall,
        keep: Keep | None,
        adapters: Sequence[DenoiserAdapter],
    ) -> None:
        super().__init__(pair.sketch_pipe, pair.sketch_stack, call, keep, adapters)
        self._pair = pair
        self._brief = brief

    def warm_up(self) -> None:
        with self.bare_stack() as stack:
            stack.logs_warnings = False
            self.call("warming up", num_inference_steps=FEW_STEPS)
        self._brief.logs_warnings = False
        self.call("warming up", _told(self._brief))

    def run_accelerated(self, description: str) -> None:
        made, seconds = self.call(description, _told(self._pair))
        self.take_accelerated(made.output, seconds, made.report)

    def probe(self) -> None:
        """Nothing: a probe would need the other pipeline's frames."""
