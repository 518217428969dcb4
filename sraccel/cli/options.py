"""Options that several commands share: the recipe, the model, the pipeline's call."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import typer

from sraccel.cli.option_groups import Command, model_options
from sraccel.demo.pair import DEMO_FPS
from sraccel.models.loading import FPS
from sraccel.recipe.sampling import Sampling

MOST_FPS = 1000.0
MOST_SEED = 2**63 - 1
"""What torch's generators take."""
RecipesModel = Annotated[
    str | None,
    typer.Option(
        help="Folder in diffusers' format, name on the hub, or `demo`. Default: the recipe's."
    ),
]
FramesPerSecond = Annotated[
    float | None,
    typer.Option(
        min=0.1, max=MOST_FPS, help=f"Frames per second. Default: {FPS}; demo: {DEMO_FPS}."
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME.OPTION=VALUE",
        help="Override a value of the recipe, as in `teacache.threshold=0.15` or "
        "`sampling.num_inference_steps=30`. May be repeated; the value is YAML, and checked as "
        "in a file.",
    ),
]
PromptsFile = Annotated[
    Path | None,
    typer.Option(
        "--prompts",
        metavar="FILE",
        help='Make a video for each line of this file: `{"id": "cat-1", "prompt": "a cat", '
        '"seed": 3}`, with further arguments of the call by name. The same command goes on '
        "where it was interrupted.",
    ),
]
Executor = Literal["local", "ray"]
Executing = Annotated[
    Executor,
    typer.Option(
        "--executor",
        help="`local`: this process. `ray`: workers of a Ray cluster, each with a device of its "
        "own (pip install 'sraccel[ray]').",
    ),
]
Workers = Annotated[
    str | None,
    typer.Option(
        "--workers",
        metavar="auto|sketch=N,render=N",
        help="With --executor ray: how many hold the large model, and how many the small one. "
        "Default: auto, a worker for each device, shared out as the first prompt's "
        "times say; of few prompts, as a forecast does.",
    ),
]
UntilSwitch = Annotated[
    Path | None,
    typer.Option(
        "--until-switch",
        metavar="FILE",
        help="Stop where another model would take over, and write the run to this file, for "
        "--resume on another machine. The render model is not loaded.",
    ),
]
Resume = Annotated[
    Path | None,
    typer.Option(
        "--resume",
        metavar="FILE",
        help="Go on with a run that --until-switch wrote. The pipeline's own model is not loaded; "
        "the video is the one that an undivided run makes, bit for bit.",
    ),
]
Seed = Annotated[
    int | None, typer.Option(min=0, max=MOST_SEED, help="Seed of the starting noise. Default: 0.")
]
Open = Annotated[bool, typer.Option("--open", help="Open the page in the browser.")]
Rival = Annotated[
    bool,
    typer.Option(
        help="Run once more with fewer, well placed steps at the recipe's cost, and no accelerator."
    ),
]
STEPS = "num_inference_steps"
WITHOUT_STEPS = ("negative_prompt", "guidance_scale", "height", "width", "num_frames")
CALL = (STEPS, *WITHOUT_STEPS)
"""Arguments of the pipeline's call that have an option."""
NAMES = {STEPS: "steps", "num_frames": "frames"}
"""Options that are not called as the call's argument."""


def call_options(*arguments: str) -> Callable[[Command], Command]:
    """Options for arguments of the pipeline's call, in the place of a command's `call`."""
    return model_options(
        Sampling,
        "call",
        without=Sampling.model_fields.keys() - arguments,
        names=NAMES,
        check=True,
    )


def open_page(path: Path, opened: bool) -> None:
    """Open a page in the browser, or say how to."""
    if opened:
        import webbrowser

        webbrowser.open(path.resolve().as_uri())
    else:
        print(f"to look at it, open {path} in a browser (--open does that)")


def check_text(prompt: str) -> None:
    """Refuse a prompt that no file could hold, before a video is made of it.

    Raises:
        typer.BadParameter: the shell gave bytes that are not UTF-8.
    """
    try:
        prompt.encode()
    except UnicodeEncodeError:
        raise typer.BadParameter("--prompt: this is no text in UTF-8") from None


def option_of(argument: str) -> str:
    """What gives an argument of the call: an option, or the recipe alone."""
    if argument in Sampling.model_fields.keys() - {*CALL}:
        return f"sampling.{argument}"
    return "--" + NAMES.get(argument, argument).replace("_", "-")
