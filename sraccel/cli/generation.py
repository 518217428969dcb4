"""What `sraccel generate` and `sraccel demo` make: one video, alone, compared, or half of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sraccel.cli.generate_from import Earlier
from sraccel.cli.generate_split import FirstHalf, SecondHalf, loader
from sraccel.cli.options import STEPS, open_page
from sraccel.cli.pipelines import Placing, check_room, refusals
from sraccel.errors import LoopError, OutputError
from sraccel.models.loading import locate

if TYPE_CHECKING:
    from sraccel.cli.outputs import Outputs
    from sraccel.comparison.comparison import Comparison
    from sraccel.loop.stack import Stack
    from sraccel.models.step_callback import StepReport
    from sraccel.recipe.recipe import Recipe
    from sraccel.reencode.handoff import PipelinePair
    from sraccel.report.model import Report
    from sraccel.report.origin import Source


@dataclass
class Generation:
    """What is to be made.

    Attributes:
        repeats: 0: without comparison.
        earlier: the run that is made again, if any.
        half: the half of the run that is made; None: it is not divided.
        opened: whether the page is opened in the browser.
        names: of the videos' files, by way of running.
        rival: whether a comparison also runs fewer steps at the same cost.
    """

    model: str
    call: dict[str, Any]
    seed: int
    fps: float
    out: Path | None
    repeats: int
    earlier: Earlier | None = None
    half: FirstHalf | SecondHalf | None = None
    opened: bool = False
    names: Mapping[str, str] = field(default_factory=lambda: {"accelerated": "video"})
    rival: bool = False

    def run(self, recipe: Recipe, placing: Placing) -> None:
        """Make it, write its files, and print the report."""
        from sraccel.cli.generate_reencoded import render_pipeline_of
        from sraccel.cli.outputs import show

        partner = render_pipeline_of(recipe)
        models = [self.model] if partner is None else [self.model, partner]
        if self.earlier is not None:
            placing = self.earlier.placing(placing)
            self.earlier.check(self._sources(models, recipe))
        if isinstance(self.half, SecondHalf):
            placing = self.half.placing(placing)
            self.half.check(self.seed, placing, self._sources(models, recipe))
        elif self.half is not None:
            self.half.check(partner)
        pipes = self._pipelines(models, recipe, placing)
        outputs = self._outputs(models, recipe, placing)
        if self.earlier is not None:
            recipe = self.earlier.run.pinned(recipe)
        with refusals(pipes[0], self.call, " (here, or in the recipe)"):
            make = self._compare if self.repeats else self._accelerated
            if isinstance(self.half, FirstHalf):
                make = self._first_half
            report = make(pipes, recipe, outputs)
        if self.earlier is not None:
            self.earlier.judge(report)
        show(report, outputs.save(report))
        if self.out is not None:
            open_page(self.out / "report.html", self.opened)

    def _commits(self) -> dict[str, str]:
        """Those of an earlier run, by model."""
        if isinstance(self.half, SecondHalf):
            return self.half.begun.commits
        return {} if self.earlier is None else self.earlier.run.commits

    def _sources(self, models: list[str], recipe: Recipe) -> list[Source]:
        from sraccel.models.source import ModelSource
        from sraccel.report.origin import sources_of

        given = [ModelSource(model=model) for model in models]
        return sources_of(given, recipe, self._commits())

    def _pipelines(self, models: list[str], recipe: Recipe, placing: Placing) -> list[Any]:
        from sraccel.files import output_folder

        placing.target()  # refuses before anything is written
        for model in models:
            locate(model)
        if self.out is not None:
            self.out = output_folder(self.out)
        brought = [source for item in recipe.accelerators for source in item.models()]
        own = [] if isinstance(self.half, SecondHalf) else models
        check_room(own, placing, brought=[] if isinstance(self.half, FirstHalf) else brought)
        load = loader(self.half)
        return [load(model, placing, revision=self._commits().get(model)) for model in models]

    def _outputs(self, models: list[str], recipe: Recipe, placing: Placing) -> Outputs:
        from sraccel.cli.outputs import Outputs
        from sraccel.report.origin import Origin, dtype_name

        origin = Origin(
            sources=self._sources(models, recipe),
            dtype=dtype_name(placing.precision()),
            device=placing.target(),
            offload=placing.offload,
            fps=self.fps,
        )
        return Outputs(self.out, origin, {**self.call, "seed": self.seed}, recipe, self.names)

    def _compare(self, pipes: list[Any], recipe: Recipe, outputs: Outputs) -> Report:
        from sraccel.cli.progress import Outlook, denoising
        from sraccel.comparison.compare import compare
        from sraccel.reencode.comparison import compare_handoff

        measure: Any = compare if len(pipes) == 1 else compare_handoff
        with denoising(*pipes) as progress, outputs.kept_if_broken_off():
            comparison: Comparison = measure(
                *pipes,
                recipe,
                seed=self.seed,
                repeats=self.repeats,
                progress=Outlook(progress, 2 * self.repeats * self.call[STEPS]),
                keep=outputs.keep,
                broken_off=outputs.keep_pairs,
                rival=self.rival,
                **self.call,
            )
        return outputs.completed(comparison.report)

    def _accelerated(self, pipes: list[Any], recipe: Recipe, outputs: Outputs) -> Report:
        import torch

        from sraccel.cli.outputs import print_written
        from sraccel.cli.progress import denoising

        call = {**self.call, "generator": torch.Generator().manual_seed(self.seed)}
        prepare: Any = _alone if len(pipes) == 1 else _together
        if isinstance(self.half, SecondHalf):
            prepare = self.half.prepare
        with denoising(*pipes) as progress:

            def report_step(pipe: Any, done: int) -> None:
                both = "sketch" if pipe is pipes[0] else "render"
                name = "accelerated" if len(pipes) == 1 else both
                progress(name, done, pipe.num_timesteps)

            run, made = prepare(pipes, recipe, call, report_step)
            try:
                outputs.keep("accelerated", run(), made.report)
            except BaseException:  # Ctrl-C, too: what was done up to here is worth keeping
                with suppress(OutputError, LoopError):  # LoopError: nothing was done
                    print_written(outputs.save(outputs.completed(made.report)))
                raise
        return outputs.completed(made.report)

    def _first_half(self, pipes: list[Any], recipe: Recipe, outputs: Outputs) -> Report:
        import torch

        from sraccel.cli.progress import denoising

        assert isinstance(self.half, FirstHalf)
        (pipe,) = pipes
        call = {**self.call, "generator": torch.Generator().manual_seed(self.seed)}
        with denoising(pipe) as progress:

            def report_step(pipe: Any, done: int) -> None:
                progress("until the switch", done, pipe.num_timesteps)

            made = self.half.run(pipe, recipe, call, report_step)
        if made.handover is not None:
            outputs.written.append(self.half.save(made.handover, outputs.origin, self.seed))
        elif self.out is None:
            self.half.refuse_whole(made.report)
        else:
            outputs.keep("accelerated", made.output, made.report)
        return outputs.completed(made.report)


Prepared = tuple[Callable[[], Any], "Stack | PipelinePair"]
"""What makes the pipeline's output, and what has the report of that, as far as it came."""


def _alone(
    pipes: list[Any], recipe: Recipe, call: dict[str, Any], report_step: StepReport
) -> Prepared:
    """One pipeline under a recipe."""
    from sraccel.composer import compose
    from sraccel.models.step_callback import with_progress

    (pipe,) = pipes
    stack = compose(pipe, recipe)

    def run() -> Any:
        with stack:
            return pipe(**with_progress(pipe, call, report_step))

    return run, stack


def _together(
    pipes: list[Any], recipe: Recipe, call: dict[str, Any], report_step: StepReport
) -> Prepared:
    """Two pipelines that share the work."""
    from sraccel.reencode.handoff import PipelinePair

    sketch_pipe, render_pipe = pipes
    pair = PipelinePair(sketch_pipe, render_pipe, recipe, **call)
    return lambda: pair.run(report_step).output, pair
