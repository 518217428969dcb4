"""Options that several commands share: the recipe, the model, where it runs, what it makes."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from sraccel.demo.pair import DEMO_FPS
from sraccel.models.loading import FPS, Device, DType, Offload

STEPS = 50
"""Denoising steps, where neither an option nor the recipe says."""

Model = Annotated[
    str, typer.Option(help="Folder in diffusers' format, name on the hub, or `demo`.")
]
RecipesModel = Annotated[
    str | None,
    typer.Option(
        help="Folder in diffusers' format, name on the hub, or `demo`. Default: the recipe's."
    ),
]
Steps = Annotated[
    int | None,
    typer.Option(min=1, help=f"Denoising steps. Default: the recipe's, else {STEPS}."),
]
FramesPerSecond = Annotated[
    float | None,
    typer.Option(min=0.1, help=f"Frames per second. Default: {FPS}; demo: {DEMO_FPS}."),
]
NegativePrompt = Annotated[str | None, typer.Option(help="What to avoid.")]
GuidanceScale = Annotated[
    float | None, typer.Option(help="Strength of guidance. Default: the pipeline's.")
]
Height = Annotated[int | None, typer.Option(min=1, help="In pixels. Default: the pipeline's.")]
Width = Annotated[int | None, typer.Option(min=1, help="In pixels. Default: the pipeline's.")]
Frames = Annotated[
    int | None, typer.Option(min=1, help="Number of frames. Default: the pipeline's.")
]
Precision = Annotated[DType, typer.Option(help="Precision of the weights.")]
Place = Annotated[Device, typer.Option(help="Where to run.")]
Offloading = Annotated[
    Offload, typer.Option(help="`model`: keep on the GPU only the part at work.")
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


def given(**options: Any) -> dict[str, Any]:
    """The arguments of a pipeline's call that options give."""
    return {name: value for name, value in options.items() if value is not None}
