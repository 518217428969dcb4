"""`sraccel calibrate steps` and `schedule`: which steps to take, or compute, for a budget."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from sraccel.cli.calibrate import calibrate as calibrate
from sraccel.cli.calibrate_options import Model, Out, Prompts, Recordings, Runs, Seeds, Steps
from sraccel.cli.failures import Debug, note, reported
from sraccel.cli.options import WITHOUT_STEPS, call_options
from sraccel.cli.pipelines import Placing, placing_options
from sraccel.report.words import digits

if TYPE_CHECKING:
    from sraccel.calibration.budgets import BudgetFile
    from sraccel.calibration.fitting import Predictor

Budgets = Annotated[str, typer.Option(help="Numbers of steps, as in 6,8,10 or 4-16.")]


@calibrate.command()
@call_options(*WITHOUT_STEPS)
@placing_options
def steps(
    model: Model,
    prompts: Prompts,
    out: Out,
    runs: Runs = None,
    budgets: Budgets = "4-25",
    steps: Steps = 50,
    seeds: Seeds = "0",
    *,
    call: dict[str, Any],
    placing: Placing,
    debug: Debug = False,
) -> None:
    """Find which few steps to take for a model: the option `file` of the accelerator `steps`.

    By shortest paths on recorded bare runs. Each run is on disk before the next begins: after
    Ctrl-C, the same command goes on.
    """
    with reported(debug):
        recordings = Recordings(model, prompts, out, runs, steps, seeds, call)
        _fit(recordings, budgets, placing)


@calibrate.command()
@call_options(*WITHOUT_STEPS)
@placing_options
def schedule(
    model: Model,
    prompts: Prompts,
    out: Out,
    runs: Runs = None,
    budgets: Budgets = "4-25",
    steps: Steps = 50,
    seeds: Seeds = "0",
    kind: Annotated[
        str | None, typer.Option(help="Of the predictor `forecast` that stands in for the rest.")
    ] = None,
    order: Annotated[int | None, typer.Option(min=0, max=2, help="Of that predictor.")] = None,
    *,
    call: dict[str, Any],
    placing: Placing,
    debug: Debug = False,
) -> None:
    """Find which steps to compute for a model: the option `file` of the rule `schedule`.

    For the predictor `forecast` on whole calls, as it is by default or as `--kind` and `--order`
    say. As `sraccel calibrate steps`, and from the same runs.
    """
    with reported(debug):
        predictor = _predictor({"kind": kind, "order": order})
        recordings = Recordings(model, prompts, out, runs, steps, seeds, call)
        _fit(recordings, budgets, placing, predictor)


def _predictor(given: dict[str, Any]) -> Predictor:
    """The predictor of these options; its own default where there is none."""
    from sraccel.accelerators.forecast import ForecastPredictor
    from sraccel.accelerators.forecast.extrapolation import weights
    from sraccel.calibration.fitting import Predictor

    stated = {key: value for key, value in given.items() if value is not None}
    made = ForecastPredictor(ForecastPredictor.Options(**stated))
    kind = made.options.kind
    return Predictor(
        weights=partial(weights, kind, made.order),
        memory=made.history_length,
        options={"kind": kind, "order": made.order, "of": "velocity"},
    )


def _fit(
    recordings: Recordings, budgets: str, placing: Placing, predictor: Predictor | None = None
) -> None:
    from sraccel.calibration.fitting import fitted
    from sraccel.calibration.picture import save_picture

    numbers = _numbers(budgets)
    setup, runs = recordings.make(placing)
    file = fitted(runs, numbers, setup, predictor)
    path = file.save(recordings.out)
    _show(file, [path, save_picture(file, path.with_suffix(".png"))])
    note(recordings.kept(len(runs)))


def _numbers(given: str) -> list[int]:
    """`6,8,10` or `4-16`."""
    try:
        ends = [part.split("-") for part in given.split(",")]
        found = [n for end in ends for n in range(int(end[0]), int(end[-1]) + 1)]
    except ValueError:
        found = []
    if not found or min(found) < 1:
        raise typer.BadParameter(
            f"--budgets takes whole numbers such as 6,8 or 4-16, not {given!r}"
        )
    return found


def _show(file: BudgetFile, paths: list[Path]) -> None:
    """Print the budgets, warnings first, and how to use them."""
    from sraccel.cli.outputs import print_written

    console = Console(highlight=False)
    for warning in file.warnings:
        note(warning)
    rows = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for heading in ("steps", "error", "on prompts left out", "which"):
        rows.add_column(heading)
    for number, budget in sorted(file.budgets.items()):
        which = " ".join(map(str, budget.positions))
        rows.add_row(str(number), digits(budget.error, 3), digits(budget.error_held_out, 3), which)
    console.print(rows)
    key = {"steps": "number", "schedule": "budget"}[file.what]
    console.print("\nuse it in a recipe\n", style="bold")
    lines = ["accelerators:", f"  - use: {file.what}", f"    {key}: {max(file.budgets)}"]
    lines.append(f"    file: {paths[0]}")
    lines += _forecast(file.settings["forecast"]) if file.what == "schedule" else []
    console.print("\n".join(lines), markup=False, soft_wrap=True)
    print_written(paths)


def _forecast(options: dict[str, Any]) -> list[str]:
    """The predictor that a schedule is for, as a recipe's lines."""
    given = [f"    {key}: {value}" for key, value in options.items() if key != "of"]
    return ["  - use: forecast", *given]
