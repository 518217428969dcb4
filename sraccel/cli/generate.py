"""`sraccel generate`: one video of any diffusers pipeline under a recipe."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sraccel.cli.failures import Debug, reported
from sraccel.cli.generate_from import Earlier, Placing, known_from
from sraccel.cli.options import (
    STEPS,
    Frames,
    FramesPerSecond,
    GuidanceScale,
    Height,
    NegativePrompt,
    Offloading,
    Place,
    Precision,
    RecipesModel,
    Steps,
    Width,
)
from sraccel.cli.overrides import Overrides
from sraccel.demo.pair import DEMO, DEMO_FPS
from sraccel.errors import LoopError, ModelError, OutputError
from sraccel.models.loading import FPS, device_of, load_pipeline, locate, precision_of

if TYPE_CHECKING:
    import torch

    from sraccel.cli.generate_reencoded import Pair
    from sraccel.cli.outputs import Outputs
    from sraccel.cli.progress import StepCallback
    from sraccel.comparison.bench import Comparison
    from sraccel.recipe.recipe import Recipe
    from sraccel.report.model import Report

OPTIONS = {
    "negative_prompt": "--negative-prompt",
    "guidance_scale": "--guidance-scale",
    "num_frames": "--frames",
    "num_inference_steps": "--steps",
    "guidance_scale_2": "sampling.guidance_scale_2",
    "max_sequence_length": "sampling.max_sequence_length",
}
"""Options whose name is not that of the pipeline's argument."""


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
    out: Annotated[Path, typer.Option(help="Folder for the results.")],
    overrides: Overrides = None,
    negative_prompt: NegativePrompt = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Seed of the starting noise. Default: 0.")
    ] = None,
    steps: Steps = None,
    guidance_scale: GuidanceScale = None,
    height: Height = None,
    width: Width = None,
    frames: Frames = None,
    fps: FramesPerSecond = None,
    dtype: Precision = "auto",
    device: Place = "auto",
    offload: Offloading = "none",
    compare: Annotated[
        bool, typer.Option(help="Run bare too: adds measured speedup and quality.")
    ] = False,
    repeats: Annotated[int, typer.Option(min=1, help="With --compare: timed pairs of runs.")] = 1,
    debug: Debug = False,
) -> None:
    """Generate a video under a recipe.

    What no option says of the call, the recipe's `sampling` says, else the pipeline.

    Writes video.mp4, report.json, report.html and timeline.svg, and with --compare also bare.mp4.
    Weights are read from safetensors files only, and code that comes with a model is never run.

    With `--from`, an earlier run gives all that no option does. On the same machine and with the
    same versions that makes the same video, bit for bit; what differs is a warning, and a model
    that has changed is refused.
    """
    if recipe is None and again is None:
        raise typer.BadParameter("give a recipe, or an earlier run with --from")
    if prompt is None and again is None:
        raise typer.BadParameter("give a --prompt")
    call = {
        "prompt": prompt,
        "negative_prompt": negative_prompt,
        "num_inference_steps": steps,
        "guidance_scale": guidance_scale,
        "height": height,
        "width": width,
        "num_frames": frames,
    }
    given = {name: value for name, value in call.items() if value is not None}
    with reported(debug):
        earlier = None if again is None else Earlier.read(again, accept_changes)
        known = known_from(recipe, overrides or [], earlier)
        name = model or known.model
        if name is None:
            raise ModelError("no model: give --model, or name one in the recipe (`model: ...`)")
        job = _Job(
            name,
            {"num_inference_steps": STEPS, **known.call, **given},
            known.seed if seed is None else seed,
            fps or known.fps or (DEMO_FPS if name == DEMO else FPS),
            out,
            repeats if compare else 0,
            earlier,
        )
        job.run(known.recipe, Placing(dtype, device, offload))


@dataclass
class _Job:
    """What is to be made; `repeats` of 0 means: without comparison. Maybe it is made again."""

    model: str
    call: dict[str, Any]
    seed: int
    fps: float
    out: Path
    repeats: int
    earlier: Earlier | None = None

    def run(self, recipe: Recipe, placing: Placing) -> None:
        from sraccel.cli.generate_reencoded import render_pipeline_of
        from sraccel.cli.outputs import Outputs, show
        from sraccel.files import output_folder
        from sraccel.models.source import ModelSource
        from sraccel.report.origin import Origin, dtype_name, sources_of

        partner = render_pipeline_of(recipe)
        models = [self.model] if partner is None else [self.model, partner]
        given, commits = [ModelSource(model=model) for model in models], {}
        if self.earlier is not None:
            placing, commits = self.earlier.placing(placing), self.earlier.run.commits
            self.earlier.check(sources_of(given, recipe, commits))
        device = device_of(placing.device, placing.offload)
        precision = precision_of(placing.dtype, device)
        for model in models:
            locate(model)
        self.out = output_folder(self.out)
        _check_room(models, recipe, precision)
        pipes = [_load(model, commits.get(model), placing) for model in models]
        origin = Origin(
            sources=sources_of(given, recipe, commits),
            dtype=dtype_name(precision),
            device=device,
            offload=placing.offload,
            fps=self.fps,
        )
        outputs = Outputs(self.out, origin, {**self.call, "seed": self.seed}, recipe)
        if self.earlier is not None:
            recipe = self.earlier.run.pinned(recipe)
        with refusals(pipes[0], self.call, " (here, or in the recipe)"):
            make = self._compare if self.repeats else self._accelerated
            report = make(pipes, recipe, outputs)
        if self.earlier is not None:
            self.earlier.judge(report)
        show(report, outputs.save(report))

    def _compare(self, pipes: list[Any], recipe: Recipe, outputs: Outputs) -> Report:
        from sraccel.cli.progress import denoising
        from sraccel.comparison.bench import compare
        from sraccel.reencode.comparison import compare_handoff

        measure: Any = compare if len(pipes) == 1 else compare_handoff
        with denoising(*pipes) as progress, outputs.kept_if_broken_off():
            comparison: Comparison = measure(
                *pipes,
                recipe,
                seed=self.seed,
                repeats=self.repeats,
                progress=progress,
                keep=outputs.keep,
                **self.call,
            )
        return outputs.completed(comparison.report)

    def _accelerated(self, pipes: list[Any], recipe: Recipe, outputs: Outputs) -> Report:
        import torch

        from sraccel.cli.generate_reencoded import Pair
        from sraccel.cli.progress import denoising

        call = {**self.call, "generator": torch.Generator().manual_seed(self.seed)}
        with denoising(*pipes) as progress:
            way: _Alone | Pair = (_Alone if len(pipes) == 1 else Pair)(pipes, recipe, call)
            try:
                output = way.run(progress)
                outputs.keep("accelerated", output, way.report)
            except BaseException:  # Ctrl-C, too: what was done up to here is worth keeping
                with suppress(OutputError, LoopError):  # LoopError: nothing was done
                    outputs.save(outputs.completed(way.report))
                raise
        return outputs.completed(way.report)


def _load(model: str, revision: str | None, placing: Placing) -> Any:
    from sraccel.cli.progress import loading

    with loading(model, own_bars=not Path(locate(model)).is_dir()):
        return load_pipeline(model, revision=revision, **asdict(placing))


def _check_room(models: list[str], recipe: Recipe, dtype: torch.dtype) -> None:
    """Refuse models that do not fit into memory together, before the first one is loaded."""
    from sraccel.models.source import ModelSource, check_room_for

    # `demo` alone would be the pair's render model.
    own = [
        ModelSource(model=name, subfolder="transformer" if name == DEMO else None)
        for name in models
    ]
    brought = [source for item in recipe.accelerators for source in item.models()]
    check_room_for([*own, *brought], dtype)


class _Alone:
    """One pipeline under a recipe."""

    def __init__(self, pipes: list[Any], recipe: Recipe, call: dict[str, Any]) -> None:
        from sraccel.composer import compose

        (self._pipe,) = pipes
        self._call = call
        self._stack = compose(self._pipe, recipe)

    @property
    def report(self) -> Report:
        """Of the run, as far as it came."""
        return self._stack.report

    def run(self, progress: StepCallback) -> Any:
        """The pipeline's output."""
        with self._stack:
            return self._pipe(**self._call, **_callback(self._pipe, progress))


@contextmanager
def refusals(pipe: Any, call: dict[str, Any], where: str = "") -> Iterator[None]:
    """Turn a pipeline's complaint about its arguments into an error that says what to change.

    `where`: what else than the command line may have given them.
    """
    check_known(pipe, call, where)
    try:
        yield
    except ValueError as error:
        raise ModelError(f"{type(pipe).__name__} refuses this call: {error}") from error


def check_known(pipe: Any, call: dict[str, Any], where: str = "") -> None:
    """Refuse arguments that a pipeline does not have, by the names of their options.

    Raises:
        ModelError: naming them.
    """
    unknown = call.keys() - inspect.signature(type(pipe).__call__).parameters.keys()
    if unknown:
        options = ", ".join(OPTIONS.get(argument, f"--{argument}") for argument in sorted(unknown))
        raise ModelError(f"{type(pipe).__name__} does not know {options}: leave it out{where}")


def _callback(pipe: Any, progress: StepCallback) -> dict[str, Any]:
    """Arguments that make a pipeline tell its steps; none if it cannot (it shows its own bar)."""
    from sraccel.cli.progress import tells_steps

    if not tells_steps(pipe):
        return {}

    def step_ended(pipe: Any, step: int, _: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        progress("accelerated", step + 1, pipe.num_timesteps)
        return tensors

    return {"callback_on_step_end": step_ended}
