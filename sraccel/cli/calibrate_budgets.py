"""`sraccel calibrate steps` and `schedule`: which steps to take, or compute, for a budget."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from sraccel.cli.calibrate import calibrate as calibrate
from sraccel.cli.calibrate import numbers_of, texts_of
from sraccel.cli.failures import Debug, note, reported
from sraccel.cli.options import WITHOUT_STEPS, call_options
from sraccel.cli.pipelines import Placing, check_room, load, placing_options, refusals
from sraccel.errors import ConflictError
from sraccel.report.words import digits

if TYPE_CHECKING:
    from sraccel.calibration.budgets import BudgetFile, What
    from sraccel.calibration.fitting import Predictor

Model = Annotated[
    str, typer.Option(help="Folder in diffusers' format, name on the hub, or `demo`.")
]
Prompts = Annotated[
    Path,
    typer.Option(
        exists=True,
        dir_okay=False,
        readable=True,
        help="Text file, a prompt a line. Empty lines and lines that begin with # don't count.",
    ),
]
Out = Annotated[Path, typer.Option("--out", "-o", help="File for the budgets, named *.json.")]
Runs = Annotated[
    Path | None,
    typer.Option(
        help="File of recorded runs, named *.jsonl; those that are in it are not made again, "
        "whichever calibration they were made for. `runs.jsonl` beside --out, if not given."
    ),
]
Budgets = Annotated[str, typer.Option(help="Numbers of steps, as in 6,8,10 or 4-16.")]
Steps = Annotated[int, typer.Option(min=2, help="Denoising steps of each run: the grid.")]
Seeds = Annotated[str, typer.Option(help="Seeds of the noise, each with each prompt.")]


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
        _Fitting("steps", model, prompts, out, runs, budgets, steps, seeds, call).run(placing)


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
        fitting = _Fitting("schedule", model, prompts, out, runs, budgets, steps, seeds, call)
        fitting.run(placing, predictor)


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


@dataclass
class _Fitting:
    """What is to be calibrated, and from what."""

    what: What
    model: str
    prompts: Path
    out: Path
    runs: Path | None
    budgets: str
    steps: int
    seeds: str
    call: dict[str, Any]

    def run(self, placing: Placing, predictor: Predictor | None = None) -> None:
        from sraccel.calibration.fitting import fitted
        from sraccel.calibration.picture import save_picture
        from sraccel.calibration.recording import recorded
        from sraccel.cli.progress import denoising
        from sraccel.files import output_folder

        if self.out.suffix != ".json":
            raise ConflictError(f"budgets are JSON: name the output *.json, not {self.out}")
        numbers = _numbers(self.budgets)
        texts, seeds = texts_of(self.prompts), numbers_of(self.seeds)
        output_folder(self.out.parent)
        runs = self.runs or self.out.with_name("runs.jsonl")
        check_room([self.model], placing)
        pipe = load(self.model, placing)
        arguments = {"prompt": "", "num_inference_steps": self.steps, **self.call}
        with refusals(pipe, arguments), denoising(pipe) as progress:
            setup, found = recorded(pipe, texts, seeds, runs, self.steps, progress, **self.call)
        file = fitted(found, numbers, setup, predictor)
        path = file.save(self.out)
        _show(file, [path, save_picture(file, path.with_suffix(".png"))])
        note(f"{len(found)} runs are in {runs}: another calibration of this model can use them")


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
