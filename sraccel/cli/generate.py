"""`sraccel generate`: one video of any diffusers pipeline under a recipe."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sraccel.cli.failures import Debug, reported
from sraccel.cli.options import (
    Frames,
    GuidanceScale,
    Height,
    Model,
    NegativePrompt,
    Offloading,
    Place,
    Precision,
    Width,
)
from sraccel.errors import LoopError, ModelError, OutputError
from sraccel.models import (
    DEMO,
    DEMO_FPS,
    Device,
    DType,
    Offload,
    device_of,
    load_pipeline,
    locate,
    precision_of,
)

if TYPE_CHECKING:
    import torch

    from sraccel.cli.generate_reencoded import Pair
    from sraccel.cli.progress import StepCallback
    from sraccel.recipe import Recipe
    from sraccel.report.model import Report

FPS = 16
OPTIONS = {
    "negative_prompt": "--negative-prompt",
    "guidance_scale": "--guidance-scale",
    "num_frames": "--frames",
    "num_inference_steps": "--steps",
}
"""Options whose name is not that of the pipeline's argument."""


def generate(
    recipe: Annotated[str, typer.Argument(help="Recipe file, or name of a shipped one.")],
    model: Model,
    prompt: Annotated[str, typer.Option(help="What to show.")],
    out: Annotated[Path, typer.Option(help="Folder for the results.")],
    negative_prompt: NegativePrompt = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the starting noise.")] = 0,
    steps: Annotated[int, typer.Option(min=1, help="Denoising steps.")] = 50,
    guidance_scale: GuidanceScale = None,
    height: Height = None,
    width: Width = None,
    frames: Frames = None,
    fps: Annotated[
        float | None,
        typer.Option(min=0.1, help=f"Frames per second. Default: {FPS}; demo: {DEMO_FPS}."),
    ] = None,
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

    Writes video.mp4, report.json, report.html and timeline.png, and with --compare also bare.mp4.
    Weights are read from safetensors files only, and code that comes with a model is never run.
    """
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
    rate = fps or (DEMO_FPS if model == DEMO else FPS)
    job = _Job(model, given, seed, rate, out, repeats if compare else 0)
    with reported(debug):
        job.run(recipe, dtype, device, offload)


@dataclass
class _Job:
    """What is to be made; `repeats` of 0 means: without comparison."""

    model: str
    call: dict[str, Any]
    seed: int
    fps: float
    out: Path
    repeats: int

    def run(self, recipe_name: str, dtype: DType, device: Device, offload: Offload) -> None:
        from sraccel.cli.generate_reencoded import render_pipeline_of
        from sraccel.cli.progress import loading
        from sraccel.files import output_folder
        from sraccel.recipe import Recipe

        recipe = Recipe.load(recipe_name)
        partner = render_pipeline_of(recipe)
        models = [self.model] if partner is None else [self.model, partner]
        local = [Path(locate(model)).is_dir() for model in models]
        self.out = output_folder(self.out)
        _check_room(models, recipe, precision_of(dtype, device_of(device, offload)))
        pipes: list[Any] = []
        for model, here in zip(models, local, strict=True):
            with loading(model, own_bars=not here):
                pipes.append(load_pipeline(model, dtype=dtype, device=device, offload=offload))
        with refusals(pipes[0], self.call):
            if self.repeats:
                self._compare(pipes, recipe)
            else:
                self._accelerated(pipes, recipe)

    def _compare(self, pipes: list[Any], recipe: Recipe) -> None:
        from sraccel.cli.outputs import Videos, save_report, show
        from sraccel.cli.progress import denoising
        from sraccel.comparison import compare
        from sraccel.reencode_comparison import compare_handoff

        names = {"bare": "bare", "accelerated": "video"}
        videos = Videos(self.out, names, self.fps, self._comment())
        measure: Any = compare if len(pipes) == 1 else compare_handoff
        with denoising(*pipes) as progress:
            comparison = measure(
                *pipes,
                recipe,
                seed=self.seed,
                repeats=self.repeats,
                progress=progress,
                keep=videos.keep,
                **self.call,
            )
        paths = save_report(comparison.report, self.out, videos.by_way)
        show(comparison.report, videos.written + paths)

    def _accelerated(self, pipes: list[Any], recipe: Recipe) -> None:
        import torch

        from sraccel.cli.generate_reencoded import Pair
        from sraccel.cli.outputs import save_output, save_report, show
        from sraccel.cli.progress import denoising

        call = {**self.call, "generator": torch.Generator().manual_seed(self.seed)}
        with denoising(*pipes) as progress:
            way: _Alone | Pair = (_Alone if len(pipes) == 1 else Pair)(pipes, recipe, call)
            try:
                output = way.run(progress)
            except BaseException:  # Ctrl-C, too: what was done up to here is worth keeping
                with suppress(OutputError, LoopError):  # LoopError: nothing was done
                    save_report(way.report, self.out)
                raise
        report = way.report
        report.call = {**self.call, "seed": self.seed}
        path = save_output(output, self.out / "video.mp4", fps=self.fps, comment=self._comment())
        show(report, [path, *save_report(report, self.out, {"accelerated": path})])

    def _comment(self) -> str:
        return f"{self.model}, seed {self.seed}: {self.call['prompt']}"


def _check_room(models: list[str], recipe: Recipe, dtype: torch.dtype) -> None:
    """Refuse models that do not fit into memory together, before the first one is loaded."""
    from sraccel.model_source import ModelSource, check_room_for

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
def refusals(pipe: Any, call: dict[str, Any]) -> Iterator[None]:
    """Turn a pipeline's complaint about its arguments into an error that says what to change."""
    name = type(pipe).__name__
    unknown = call.keys() - inspect.signature(type(pipe).__call__).parameters.keys()
    if unknown:
        options = ", ".join(OPTIONS.get(argument, f"--{argument}") for argument in sorted(unknown))
        raise ModelError(f"{name} does not know {options}: leave it out")
    try:
        yield
    except ValueError as error:
        raise ModelError(f"{name} refuses this call: {error}") from error


def _callback(pipe: Any, progress: StepCallback) -> dict[str, Any]:
    """Arguments that make a pipeline tell its steps; none if it cannot (it shows its own bar)."""
    from sraccel.cli.progress import tells_steps

    if not tells_steps(pipe):
        return {}

    def step_ended(pipe: Any, step: int, _: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        progress("accelerated", step + 1, pipe.num_timesteps)
        return tensors

    return {"callback_on_step_end": step_ended}
