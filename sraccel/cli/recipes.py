"""`sraccel recipes`: the recipes that are installed, what for, and their text."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sraccel.cli.failures import Debug, reported
from sraccel.text import printable


def recipes(
    name: Annotated[
        str | None, typer.Argument(help="A recipe, to see its text with its comments.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    debug: Debug = False,
) -> None:
    """List the recipes that can be named instead of a file, or print one of them."""
    with reported(debug):
        if name is None:
            listed = describe()
            typer.echo(json.dumps(listed, indent=2)) if as_json else _print_table(listed)
            return
        text = _text(name)
        if as_json:
            from sraccel.recipe.recipe import Recipe

            typer.echo(Recipe.load(name).model_dump_json(indent=2))
        else:
            typer.echo(printable(text), nl=not text.endswith("\n"))


def describe() -> list[dict[str, Any]]:
    """What is installed, as plain data."""
    from sraccel.recipe.catalogue import installed

    return [_row(name) for name in sorted(installed().recipes)]


def _row(name: str) -> dict[str, Any]:
    from sraccel.errors import SraccelError
    from sraccel.recipe.catalogue import installed
    from sraccel.recipe.recipe import Recipe

    path = installed().recipes[name]
    row = {"name": name, "file": str(path), "error": None}
    try:
        recipe = Recipe.load(path)
    except SraccelError as error:  # another package's: the list goes on
        return {**row, "description": "", "model": None, "accelerators": [], "error": str(error)}
    uses = [item.use for item in recipe.accelerators]
    about = {"description": recipe.description, "model": recipe.model, "accelerators": uses}
    return {**row, **about}


def _text(name: str) -> str:
    from sraccel.errors import RecipeError
    from sraccel.recipe.catalogue import installed
    from sraccel.text import did_you_mean

    known = installed().recipes
    if name not in known:
        hint, listed = did_you_mean(name, known), ", ".join(sorted(known)) or "none"
        raise typer.BadParameter(f"no recipe is called {name!r}{hint} (installed: {listed})")
    try:
        return known[name].read_text(encoding="utf-8-sig")
    except OSError as error:
        reason = f"cannot be opened: {error.strerror}"
        raise RecipeError(reason, str(known[name])) from error
    except ValueError as error:
        raise RecipeError("cannot be read: it is not UTF-8", str(known[name])) from error


def _print_table(listed: list[dict[str, Any]]) -> None:
    console = Console(highlight=False)
    rows = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    rows.add_column("recipe", no_wrap=True)
    rows.add_column("what for")
    for row in listed:
        what_for = Text(printable(row["description"] or row["error"] or ""))
        rows.add_row(Text(printable(row["name"]), style="bold"), what_for)
        rows.add_section()
    console.print(rows if listed else "no recipes installed")
    console.print("\n`sraccel recipes NAME` prints one; `sraccel check NAME` checks it.")
