"""`sraccel schema`: what a recipe or a study file may hold, for editors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from sraccel.cli.failures import Debug, reported


def schema(
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="File to write. Default: print it.")
    ] = None,
    study: Annotated[
        bool, typer.Option("--study", help="That of a study file, as `sraccel study` takes it.")
    ] = False,
    debug: Debug = False,
) -> None:
    """Print the JSON schema of a recipe, with the options of everything that is installed."""
    with reported(debug):
        from sraccel.check.schema import recipe_schema
        from sraccel.files import replacing
        from sraccel.recipe.recipe import Recipe
        from sraccel.study.plan.study import Study

        text = json.dumps(recipe_schema(Study if study else Recipe), indent=2) + "\n"
        if out is None:
            typer.echo(text, nl=False)
            return
        with replacing(out) as temporary:
            temporary.write_text(text, encoding="utf-8")
