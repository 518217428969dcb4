"""`sraccel predict`: what a recipe would gain on this machine, before anything is downloaded."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from sraccel.cli.failures import Debug, reported
from sraccel.cli.option_groups import options_of
from sraccel.cli.options import call_options
from sraccel.cli.predict_options import SIZE, PredictOptions, RecipeArgument, decisions_file


@call_options(*SIZE)
@options_of(PredictOptions, "options")
def predict(
    recipe: RecipeArgument,
    *,
    options: PredictOptions,
    call: dict[str, Any],
    decisions: Annotated[
        Path | None,
        typer.Option(
            help="Take the switch and the skipped shares of this report (of a run or a study)."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    debug: Debug = False,
) -> None:
    """Predict what a recipe would take and gain on this machine; nothing is downloaded.

    Builds the denoisers of a published configuration with random weights, measures what their
    calls cost under the recipe, and replays the decisions that a run would make. Says seconds,
    speedup and memory, and what of it was measured and what assumed.
    """
    with reported(debug):
        from sraccel.cli.progress import denoising
        from sraccel.prediction.decisions import Given
        from sraccel.prediction.predict import predict as predicted

        checked, model = options.recipe(recipe)
        with denoising() as progress:
            prediction = predicted(
                checked,
                model,
                given=Given(options.switch, options.skipped),
                decisions=decisions_file(decisions),
                progress=progress,
                **options.measuring,
                **call,
            )
        if as_json:
            typer.echo(prediction.model_dump_json(indent=2))
        else:
            Console(highlight=False).print(prediction)
