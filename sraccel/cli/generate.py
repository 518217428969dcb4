"""`sraccel generate`: one video of any diffusers pipeline under a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from sraccel.cli.failures import Debug, reported
from sraccel.cli.generate_from import Earlier, known_from
from sraccel.cli.generate_many import Batch
from sraccel.cli.generate_options import check_options
from sraccel.cli.generate_split import SecondHalf, half_of
from sraccel.cli.generation import Generation
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
)
from sraccel.cli.pipelines import Placing, model_named, placing_options, usual_fps
from sraccel.recipe.sampling import USUAL_STEPS


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
