"""`sraccel generate`: one video of any diffusers pipeline under a recipe."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sraccel.cli.failures import Debug, reported
from sraccel.cli.generate_from import Earlier, known_from
from sraccel.cli.generate_many import Batch
from sraccel.cli.generate_options import check_options
from sraccel.cli.generate_split import FirstHalf, SecondHalf, half_of, loader
from sraccel.cli.options import (
    CALL,
    STEPS,
    Executing,
    FramesPerSecond,
    Open,
    Overrides,
    PromptsFile,
    RecipesModel,
    Resume,
    Rival,
    Seed,
    UntilSwitch,
    Workers,
    call_options,
    check_text,
    open_page,
)
from sraccel.cli.pipelines import (
    Placing,
    check_room,
    model_named,
    placing_options,
    refusals,
    usual_fps,
)
from sraccel.errors import LoopError, OutputError
from sraccel.models.loading import locate
from sraccel.recipe.sampling import USUAL_STEPS

if TYPE_CHECKING:
    from sraccel.cli.outputs import Outputs
    from sraccel.comparison.comparison import Comparison
    from sraccel.loop.stack import Stack
    from sraccel.models.step_callback import StepReport
    from sraccel.recipe.recipe import Recipe
    from sraccel.reencode.handoff import PipelinePair
    from sraccel.report.model import Report
    from sraccel.report.origin import Source


@call_options(*CALL)
@placing_options
def generate(
    recipe: Annotated[
        str | None,
        typer.Argument(help="Recipe file, or name of a shipped one; not needed with --from."),
    ] = None,
    *,
    again: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="FILE",
            help="Make a video again, from its report.json or from the .mp4 itself; other options "
            "go before what was then.",
        ),
    ] = None,
    accept_changes: Annotated[
        bool,
        typer.Option(
            "--accept-changes",
            help="With --from: go on though a model or a file has changed since.",
        ),
    ] = False,
    model: RecipesModel = None,
    prompt: Annotated[
        str | None, typer.Option(help="What to show; not needed with --from.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder for the results; not needed with --until-switch."),
    ] = None,
    prompts: PromptsFile = None,
    executor: Executing = "local",
    workers: Workers = None,
    until_switch: UntilSwitch = None,
    resume: Resume = None,
    overrides: Overrides = None,
    seed: Seed = None,
    call: dict[str, Any],
    fps: FramesPerSecond = None,
    placing: Placing,
    compare: Annotated[
        bool, typer.Option(help="Run bare too: adds measured speedup and quality.")
    ] = False,
    repeats: Annotated[int, typer.Option(min=1, help="With --compare: timed pairs of runs.")] = 1,
    rival: Rival = False,
    opened: Open = False,
    debug: Debug = False,
) -> None:
    """Generate a video under a recipe.

    What no option says of the call, the recipe's `sampling` says, else the pipeline.

    Writes video.mp4, report.json, report.html and timeline.svg, with --compare also bare.mp4, and
    with --rival rival.mp4.
    Weights are read from safetensors files only, and code that comes with a model is never run.

    With `--prompts`, a video and a report for each line of a file, and one manifest; models are
    loaded once, a prompt that fails is recorded and passed by, and what is there is not made again.

    With `--until-switch` the run stops where a small model would take over, and is written to a
    file; `--resume` goes on with it, on another machine perhaps. Neither loads the other's model.

    With `--from`, an earlier run gives all that no option does. On the same machine and with the
    same versions that makes the same video, bit for bit; what differs is a warning, and a model
    that has changed is refused.
    """
    check_options(
        {
            "recipe": recipe,
            "--from": again,
            "--prompt": prompt,
            "--prompts": prompts,
            "--executor": executor != "local",
            "--workers": workers,
            "--until-switch": until_switch,
            "--resume": resume,
            "--out": out,
            "--compare": compare,
            "--rival": rival,
        }
    )
    if prompt is not None:
        check_text(prompt)
        call = {"prompt": prompt, **call}
    with reported(debug):
        earlier = None if again is None else Earlier.read(again, accept_changes)
        half = half_of(until_switch, resume)
        if isinstance(half, SecondHalf):
            known = half.known(recipe, overrides or [])
        else:
            known = known_from(recipe, overrides or [], earlier)
        name = model_named(model, known.model)
        asked = (
            name,
            {STEPS: USUAL_STEPS, **known.call, **call},
            known.seed if seed is None else seed,
            fps or known.fps or usual_fps(name),
        )
        if prompts is not None and out is not None:
            Batch(prompts, *asked, out, executor, workers).run(known.recipe, placing)
        else:
            generation = Generation(
                *asked, out, repeats if compare else 0, earlier, half, opened, rival=rival
            )
            generation.run(known.recipe, placing)


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
