"""`sraccel new-plugin`: a package that installs, passes its tests, and waits to be changed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from sraccel.cli.failures import Debug, reported

if TYPE_CHECKING:
    from sraccel.scaffold.names import Names


def new_plugin(
    name: Annotated[
        str, typer.Argument(help="Of the package, as in `sraccel-quiet-steps`.", show_default=False)
    ],
    kind: Annotated[
        Literal["rule", "predictor", "kernel", "denoiser", "metric"],
        typer.Option(
            help="`rule`: says when to skip; `predictor`: what stands in; `kernel`: changes how a "
            "model computes; `denoiser`: another model takes some steps; `metric`: judges videos."
        ),
    ] = "rule",
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder for it; one of its name, if not given."),
    ] = None,
    debug: Debug = False,
) -> None:
    """Write a package with a working plugin: code, tests, README, a recipe, a file for CI."""
    with reported(debug):
        names = _names(name, kind)
        from sraccel.scaffold.package import write_package

        folder = out or Path(names.distribution)
        for path in write_package(names, kind, folder):
            typer.echo(folder / path)
        shown = "plugins" if kind == "metric" else f"plugins {names.item}"
        typer.echo(
            f"\nNext:\n  pip install -e {folder}\n  sraccel {shown}\n  pytest {folder}\n"
            f"  sraccel generate {folder / 'recipe.yaml'} --prompt 'a red circle moving left' "
            f"--compare --out first"
        )


def _names(name: str, kind: str) -> Names:
    """The names in the package; what is installed already is refused, since it would be shut out.

    Raises:
        BadParameter: another name is needed.
    """
    from sraccel.recipe.catalogue import installed
    from sraccel.scaffold.names import names_of

    try:
        names = names_of(name)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="NAME") from None
    known = installed()
    judges = {**known.metrics, **known.scores}
    taken = names.module in judges if kind == "metric" else names.item in known.accelerators
    if taken:
        raise typer.BadParameter(
            f"{names.item!r} is installed already: choose another name", param_hint="NAME"
        )
    return names
