"""`sraccel demo`: bare against accelerated on the pair that comes with the package."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sraccel.cli.failures import Debug, asides, note, reported
from sraccel.cli.generation import Generation
from sraccel.cli.options import STEPS, Open, Overrides, Rival, Seed, call_options, check_text
from sraccel.cli.pipelines import Placing
from sraccel.demo.pair import DEMO, DEMO_FPS
from sraccel.errors import ModelError
from sraccel.recipe.sampling import USUAL_STEPS

if TYPE_CHECKING:
    from sraccel.recipe.recipe import Recipe

EXAMPLE_PROMPT = "a dotted blue triangle moving right below a striped purple circle moving up"


@call_options(STEPS)
def demo(
    prompt: Annotated[str, typer.Option(help="What to show.")] = EXAMPLE_PROMPT,
    seed: Seed = None,
    *,
    call: dict[str, Any],
    recipe: Annotated[str, typer.Option(help="Recipe file, or name of a shipped one.")] = "demo",
    overrides: Overrides = None,
    repeats: Annotated[int, typer.Option(min=1, help="Timed pairs of runs.")] = 3,
    rival: Rival = True,
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("sraccel-demo"),
    opened: Open = False,
    debug: Debug = False,
) -> None:
    """Make the same video twice, bare and accelerated, and say what the recipe gained and cost.

    Uses the small trained pair in the package: no download, no GPU. Writes bare.mp4,
    accelerated.mp4, rival.mp4, report.json, report.html and timeline.svg.
    """
    with reported(debug):
        from sraccel.recipe.recipe import Recipe

        loaded = Recipe.load(recipe, overrides or [])
        _check_model(loaded, recipe)
        call = {STEPS: USUAL_STEPS, **loaded.sampling.arguments(), "prompt": prompt, **call}
        check_text(prompt)
        _note_on(prompt)
        note(
            f"{2 * repeats} videos of {call[STEPS]} steps each, bare and accelerated in turn, "
            f"{'one of fewer steps at the same cost, ' if rival else ''}and a few steps to warm up "
            "and to measure costs; the bars show what is left"
        )
        made = Generation(
            *(DEMO, call, seed or 0, DEMO_FPS, out, repeats), names={}, opened=opened, rival=rival
        )
        made.run(loaded, Placing(device="cpu"))


def _check_model(recipe: Recipe, name: str) -> None:
    if recipe.model not in (None, DEMO):
        raise ModelError(
            f"the recipe {name} is for {recipe.model}, and `sraccel demo` runs the demo pair "
            "alone: use `sraccel generate`, or leave `model` out of the recipe"
        )


def _note_on(prompt: str) -> None:
    """Say so, if a prompt is beyond the demo pair's small world."""
    from sraccel.demo.captions import MAX_FIGURES, parse_caption, words

    try:
        parse_caption(prompt)
    except ValueError as error:
        known = "".join(f"  {kind:<9}  {', '.join(these)}\n" for kind, these in words().items())
        asides().print(
            f"Note: the demo pair knows only one to {MAX_FIGURES} moving shapes, so this prompt "
            f"may give anything: {error}.\n{known}  example    {EXAMPLE_PROMPT}\n",
            markup=False,
            highlight=False,
        )
