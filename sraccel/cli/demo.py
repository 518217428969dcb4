"""`sraccel demo`: bare against accelerated on the pair that comes with the package."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sraccel.cli.failures import Debug, reported, stderr
from sraccel.models import DEMO, DEMO_FPS, load_pipeline, locate

EXAMPLE_PROMPT = "a green circle moving up left of a purple triangle moving down"


def demo(
    prompt: Annotated[str, typer.Option(help="What to show.")] = EXAMPLE_PROMPT,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the starting noise.")] = 0,
    steps: Annotated[int, typer.Option(min=1, help="Denoising steps.")] = 50,
    recipe: Annotated[str, typer.Option(help="Recipe file, or name of a shipped one.")] = "demo",
    repeats: Annotated[int, typer.Option(min=1, help="Timed pairs of runs.")] = 3,
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("sraccel-demo"),
    debug: Debug = False,
) -> None:
    """Make the same video twice, bare and accelerated, and say what the recipe gained and cost.

    Uses the small trained pair in the package: no download, no GPU. Writes bare.mp4,
    accelerated.mp4, report.json, report.html and timeline.png.
    """
    with reported(debug):
        _demo(prompt, seed, steps, recipe, repeats, out)


def _demo(prompt: str, seed: int, steps: int, recipe_name: str, repeats: int, out: Path) -> None:
    from sraccel.cli.outputs import Outputs, show
    from sraccel.cli.progress import denoising, loading
    from sraccel.files import output_folder
    from sraccel.model_source import ModelSource
    from sraccel.origin import Origin, sources_of
    from sraccel.recipe import Recipe

    recipe = Recipe.load(recipe_name)
    folder = output_folder(out)
    _note_on(prompt)
    locate(DEMO)
    with loading("the demo pair"):
        from sraccel.comparison import compare

        pipe = load_pipeline(DEMO, device="cpu")
    origin = Origin(
        sources=sources_of([ModelSource(model=DEMO)], recipe),
        dtype="float32",
        device="cpu",
        fps=DEMO_FPS,
    )
    call = {"prompt": prompt, "num_inference_steps": steps, "seed": seed}
    names = {"bare": "bare", "accelerated": "accelerated"}
    outputs = Outputs(folder, origin, call, recipe, names)
    with denoising(pipe) as progress, outputs.kept_if_broken_off():
        comparison = compare(
            pipe,
            recipe,
            prompt=prompt,
            seed=seed,
            num_inference_steps=steps,
            repeats=repeats,
            progress=progress,
            keep=outputs.keep,
        )
    report = outputs.told(comparison.report)
    show(report, outputs.save(report))


def _note_on(prompt: str) -> None:
    """Say so, if a prompt is beyond the demo pair's small world."""
    from sraccel.demo.shapes import COLOURS, MOTIONS, SHAPES, parse_caption

    try:
        parse_caption(prompt)
    except ValueError:
        stderr().print(
            "[bold]Note:[/bold] the demo pair knows only moving shapes, so this prompt may give "
            f"anything.\n  colours  {', '.join(COLOURS)}\n  shapes   {', '.join(SHAPES)}\n"
            f"  motions  {', '.join(MOTIONS)}\n  example  {EXAMPLE_PROMPT}\n",
            highlight=False,
        )
