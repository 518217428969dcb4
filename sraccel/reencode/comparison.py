"""Measuring two pipelines that share the work against the sketch pipeline alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sraccel.comparison.comparison import Comparison
from sraccel.comparison.paired_runs import BrokenOff, Keep, PairedRuns
from sraccel.comparison.timed_call import TimedCall
from sraccel.models.step_callback import WARMING_UP, Progress
from sraccel.recipe.recipe import Recipe
from sraccel.reencode.handoff import Handoff, PipelinePair
from sraccel.reencode.srdiffusion import switching_at_once

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
    broken_off: BrokenOff | None = None,
    rival: bool = False,
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
    recipe = Recipe.load(recipe)
    timed = TimedCall(sketch_pipe, call, seed, progress)
    call = {**call, "generator": timed.arguments["generator"]}
    pipes = (sketch_pipe, render_pipe)
    pair = PipelinePair(*pipes, recipe, render_call=render_call, adapters=adapters, **call)
    brief = PipelinePair(
        *(*pipes, switching_at_once(recipe)),
        render_call={**(render_call or {}), "num_inference_steps": FEW_STEPS},
        adapters=adapters,
        **{**call, "num_inference_steps": FEW_STEPS},
    )
    return _HandoffRuns(pair, brief, timed, keep, adapters, broken_off, rival).compare(
        repeats, warmup
    )


class _HandoffRuns(PairedRuns):
    """Its accelerated runs are those of a pair of pipelines."""

    def __init__(
        self,
        pair: PipelinePair,
        brief: PipelinePair,
        call: TimedCall,
        keep: Keep | None,
        adapters: Sequence[DenoiserAdapter],
        broken_off: BrokenOff | None,
        rival: bool,
    ) -> None:
        super().__init__(
            *(pair.sketch_pipe, pair.sketch_stack, call, keep, adapters, broken_off), rival=rival
        )
        self._pair = pair
        self._brief = brief

    def warm_up(self) -> None:
        with self.bare_stack() as stack:
            stack.logs_warnings = False
            self.call(WARMING_UP, num_inference_steps=FEW_STEPS)
        self._brief.logs_warnings = False
        self._run(WARMING_UP, self._brief)

    def run_accelerated(self, description: str) -> None:
        made, seconds = self._run(description, self._pair)
        self.take_accelerated(made.output, seconds, made.report)

    def _run(self, description: str, pair: PipelinePair) -> tuple[Handoff, float]:
        report = self.call.step_report(description)
        return self.call.timed(lambda: pair.run(report))

    def probe(self) -> None:
        """Nothing: a probe would need the other pipeline's frames."""
