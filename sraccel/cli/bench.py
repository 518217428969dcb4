"""`sraccel bench`: what each subset of a recipe's accelerators is worth on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from sraccel.cli.failures import Debug, note, reported
from sraccel.cli.option_groups import options_of
from sraccel.cli.options import Open, call_options, open_page
from sraccel.cli.predict_options import SIZE, PredictOptions, RecipeArgument

PAGE, JSON = "bench.html", "bench.json"


@call_options(*SIZE)
@options_of(PredictOptions, "options")
def bench(
    recipe: RecipeArgument,
    *,
    options: PredictOptions,
    call: dict[str, Any],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder for the measurements and the page.")
    ] = Path("sraccel-bench"),
    opened: Open = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    debug: Debug = False,
) -> None:
    """Predict each subset of a recipe's accelerators on this machine, as a table and a page.

    As `sraccel predict`, for nothing, each accelerator alone, pairs, and so on. Writes bench.html,
    bench.json and measurements.jsonl; each measurement is on disk before the next: after Ctrl-C,
    the same command goes on.
    """
    with reported(debug):
        from sraccel.cli.progress import denoising
        from sraccel.prediction.bench import bench as benched
        from sraccel.prediction.bench_page import save_bench_page
        from sraccel.prediction.decisions import Given

        checked, model = options.recipe(recipe)
        with denoising() as progress:
            result = benched(
                checked,
                model,
                folder=out,
                given=Given(options.switch, options.skipped),
                progress=progress,
                **options.measuring,
                **call,
            )
        result.save(out / JSON)
        page = save_bench_page(result, out / PAGE)
        if as_json:
            typer.echo(result.model_dump_json(indent=2))
            note(f"wrote {page}")
        else:
            Console(highlight=False).print(result)
            open_page(page, opened)
