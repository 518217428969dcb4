"""`sraccel calibrate NAME` for what plugins bring by the hook `sraccel_calibrations`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
import yaml
from rich.console import Console
from typer.core import TyperGroup

from sraccel.cli.calibrate_options import Model, Out, Prompts, Recordings, Runs, Seeds, Steps
from sraccel.cli.failures import Debug, note, reported
from sraccel.cli.options import WITHOUT_STEPS, call_options
from sraccel.cli.pipelines import Placing, placing_options
from sraccel.report.words import digits

if TYPE_CHECKING:
    from sraccel.calibration.calibration import Calibration, FitFile


class Named(TyperGroup):
    """Commands of its own, then one for each calibration that is installed."""

    def list_commands(self, ctx: Any) -> list[str]:
        own = super().list_commands(ctx)
        return [*own, *(name for name in sorted(_installed()) if name not in own)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        found = super().get_command(ctx, cmd_name)
        if found is not None or cmd_name not in _installed():
            return found
        return _command(_installed()[cmd_name]())


def _installed() -> dict[str, type[Calibration]]:
    from sraccel.recipe.catalogue import installed

    return installed().calibrations


def _command(calibration: Calibration) -> Any:
    """A command of the calibration's name."""

    @call_options(*WITHOUT_STEPS)
    @placing_options
    def run(
        model: Model,
        prompts: Prompts,
        out: Out,
        runs: Runs = None,
        steps: Steps = 50,
        seeds: Seeds = "0",
        *,
        call: dict[str, Any],
        placing: Placing,
        debug: Debug = False,
    ) -> None:
        with reported(debug):
            _fit(calibration, Recordings(model, prompts, out, runs, steps, seeds, call), placing)

    app = typer.Typer(add_completion=False)
    app.command(
        calibration.name,
        help=f"{calibration.purpose}\n\nFrom the same recorded bare runs as other calibrations; "
        "after Ctrl-C, the same command goes on.",
    )(run)
    return typer.main.get_command(app)


def _fit(calibration: Calibration, recordings: Recordings, placing: Placing) -> None:
    from sraccel.calibration.fitting import calibrated
    from sraccel.calibration.picture import save_fit_picture

    recorder = calibration.recorder()
    recorders = {} if recorder is None else {calibration.name: recorder}
    setup, runs = recordings.make(placing, recorders)
    file = calibrated(calibration, runs, setup)
    path = file.save(recordings.out)
    picture = save_fit_picture(calibration, file, runs, path.with_suffix(".png"))
    _show(calibration, file, [path, picture])
    note(recordings.kept(len(runs)))


def _show(calibration: Calibration, file: FitFile, paths: list[Path]) -> None:
    from sraccel.cli.outputs import print_written

    console = Console(highlight=False)
    for warning in file.warnings:
        note(warning)
    held_out = digits(file.error_held_out, 3)
    unit = calibration.unit
    console.print(f"error {digits(file.error, 3)}, on prompts left out {held_out} ({unit})")
    console.print("\nuse it in a recipe\n", style="bold")
    items = [dict(item) for item in calibration.recipe(file.fit, paths[0])]
    text = yaml.safe_dump({"accelerators": items}, sort_keys=False)
    console.print(text, markup=False, soft_wrap=True)
    print_written(paths)
