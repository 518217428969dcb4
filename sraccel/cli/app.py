"""The typer application: its commands, its version, its entry point."""

from __future__ import annotations

import logging
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import typer

from sraccel.cli.bench import bench
from sraccel.cli.calibrate_budgets import calibrate
from sraccel.cli.check import check
from sraccel.cli.compare import compare
from sraccel.cli.demo import demo
from sraccel.cli.disable_plugin import switched_off
from sraccel.cli.failures import INTERRUPTED, set_loudness
from sraccel.cli.generate import generate
from sraccel.cli.new_plugin import new_plugin
from sraccel.cli.pairs import pairs
from sraccel.cli.plugins import plugins
from sraccel.cli.predict import predict
from sraccel.cli.recipes import recipes
from sraccel.cli.report import report
from sraccel.cli.schema import schema
from sraccel.cli.study import study
from sraccel.cli.tune import tune

app = typer.Typer(
    name="sraccel",
    help="Compose accelerators of video diffusion into a checked stack, and measure it.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(bench)
app.command()(check)
app.command()(compare)
app.command()(demo)
app.command()(generate)
app.command("new-plugin")(new_plugin)
app.command()(pairs)
app.command()(plugins)
app.command()(predict)
app.command()(recipes)
app.command()(schema)
app.command()(report)
app.command()(study)
app.command()(tune)
app.add_typer(calibrate, name="calibrate")


def _print_version(wanted: bool) -> None:
    if not wanted:
        return
    try:
        typer.echo(f"sraccel {version('sraccel')}")
    except PackageNotFoundError:
        typer.echo("sraccel (not installed as a distribution)")
    raise typer.Exit


@app.callback()
def _root(
    context: typer.Context,
    _: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version."),
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="No bars and no notes; errors are shown.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show what is logged, decision by decision.")
    ] = False,
    disable_plugin: Annotated[
        list[str] | None,
        typer.Option(
            "--disable-plugin",
            metavar="NAME",
            help="Leave out a plugin, or all of a package, as SRACCEL_DISABLE_PLUGINS does. May be "
            "repeated.",
        ),
    ] = None,
) -> None:
    set_loudness(quiet=quiet, verbose=verbose)
    if disable_plugin:
        context.with_resource(switched_off(disable_plugin))


def main() -> None:
    """Run the command line; the entry point of the script `sraccel`."""
    # Warnings are in the report that a command prints; don't let them cut into progress bars.
    logging.getLogger("sraccel").addHandler(logging.NullHandler())
    try:
        app()
    except KeyboardInterrupt:  # before or after a command's own handling
        typer.echo("interrupted", err=True)
        sys.exit(INTERRUPTED)
