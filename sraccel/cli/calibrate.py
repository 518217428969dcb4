"""`sraccel calibrate teacache`: coefficients for a model that has none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from sraccel.cli.calibrate_named import Named
from sraccel.cli.calibrate_options import Model, Out, Prompts, Seeds, numbers_of, texts_of
from sraccel.cli.failures import Debug, note, reported
from sraccel.cli.options import WITHOUT_STEPS, call_options
from sraccel.cli.pipelines import Placing, check_room, load, placing_options, refusals
from sraccel.errors import ConflictError, ModelError
from sraccel.models.loading import Role
from sraccel.report.words import digits, share

if TYPE_CHECKING:
    from sraccel.accelerators.teacache.calibration.calibrator import Calibration
    from sraccel.accelerators.teacache.calibration_file import CalibrationEntry
    from sraccel.models.step_callback import Progress

calibrate = typer.Typer(
    help="Fit what an accelerator must know of a model.", no_args_is_help=True, cls=Named
)


@calibrate.callback()
def _root() -> None:
    pass  # with a callback, typer keeps `teacache` as a command of its own


@calibrate.command()
@call_options(*WITHOUT_STEPS)
@placing_options
def teacache(
    model: Model,
    prompts: Prompts,
    out: Out,
    steps: Annotated[int, typer.Option(min=1, help="Denoising steps of each run.")] = 50,
    seeds: Seeds = "0",
    retention: Annotated[
        bool, typer.Option("--retention", help="Fit Wan's retention variant.")
    ] = False,
    role: Annotated[
        Role, typer.Option(help="What the model plays in recipes; of `demo`, which of the pair.")
    ] = "transformer",
    *,
    call: dict[str, Any],
    placing: Placing,
    debug: Debug = False,
) -> None:
    """Fit TeaCache's coefficients for a model, by full runs over prompts and seeds.

    What no option says of the call, the pipeline says.

    Writes the coefficients, a picture of each fit, and the runs. Each run is on disk before the
    next begins: after Ctrl-C, the same command goes on.
    """
    with reported(debug):
        fitting = _Fitting(
            model, texts_of(prompts), numbers_of(seeds), out, steps, retention, role, call
        )
        fitting.run(placing)


@dataclass
class _Fitting:
    """What is to be fitted, and to what."""

    model: str
    prompts: list[str]
    seeds: list[int]
    out: Path
    steps: int
    retention: bool
    role: Role
    call: dict[str, Any]

    def run(self, placing: Placing) -> None:
        from sraccel.accelerators.teacache.calibration.calibrator import calibrate, check_inputs
        from sraccel.cli.progress import denoising

        # Before a large model is loaded.
        check_inputs(self.prompts, self.seeds, self.steps, self.out)
        check_room([self.model], placing, role=self.role)
        pipe = load(self.model, placing, role=self.role)
        arguments = {"prompt": "", "num_inference_steps": self.steps, **self.call}
        with refusals(pipe, arguments), self._kept(), denoising(pipe) as progress:
            made = calibrate(
                pipe,
                self.prompts,
                self.out,
                seeds=self.seeds,
                num_inference_steps=self.steps,
                retention=self.retention,
                role=self.role,
                progress=self._named(progress),
                **self.call,
            )
        show(made, self.out)

    def _named(self, progress: Progress) -> Progress:
        """Says on the bar how many runs are left."""
        return lambda _, done, total: progress(f"{total // self.steps} full runs", done, total)

    @contextmanager
    def _kept(self) -> Iterator[None]:
        """Say what an interrupted calibration leaves."""
        from sraccel.accelerators.teacache.calibration.runs import count_runs, runs_path

        path = runs_path(self.out, self.role)
        wanted = len(self.prompts) * len(self.seeds)
        if kept := count_runs(path):
            note(f"{kept} of {wanted} runs are in {path} already")
        try:
            yield
        except (ConflictError, ModelError):  # refused: there is nothing to go on with
            raise
        except BaseException:
            if kept := count_runs(path):
                note(f"{kept} of {wanted} runs are kept in {path}; the same command goes on")
            raise


def show(made: Calibration, out: Path) -> None:
    """Print the fits, warnings first, what they promise, and how to use them."""
    from sraccel.cli.outputs import print_written

    console = Console(highlight=False)
    for entry in made.entries:
        for warning in entry.warnings:
            title = f"{entry.name}: read this first"
            console.print(Panel(Text(warning), title=title, title_align="left", border_style="red"))
    for entry in made.entries:
        heading = f"{entry.name}: {entry.class_name}, {entry.num_points} changes from step to step"
        console.print(f"\n{heading}\n", style="bold")
        console.print(_fit(entry), "", _thresholds(entry), sep="\n")
    console.print("\nuse it in a recipe\n", style="bold")
    console.print(snippet(made.entries[0], out), markup=False, soft_wrap=True)
    print_written(made.paths)


def _fit(entry: CalibrationEntry) -> Table:
    rows = _table("checked on", "R^2", "mean absolute error")
    rows.add_row("the points of the fit", digits(entry.r2, 3), digits(entry.error, 3))
    rows.add_row("prompts left out", digits(entry.r2_held_out, 3), digits(entry.error_held_out, 3))
    return rows


def _thresholds(entry: CalibrationEntry) -> Table:
    rows = _table("threshold", f"share of the {entry.num_inference_steps[0]} steps to be skipped")
    for row in entry.thresholds:
        rows.add_row(f"{row.threshold:g}", share(row.skipped))
    return rows


def _table(first: str, *others: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column(first)
    for heading in others:
        table.add_column(heading, justify="right")
    return table


def snippet(entry: CalibrationEntry, out: Path) -> str:
    """A recipe that uses the file, with the threshold that skips nearest to half of the steps."""
    nearest = min(entry.thresholds, key=lambda row: abs(row.skipped - 0.5), default=None)
    lines = ["accelerators:", "  - use: teacache"]
    if nearest is not None:
        lines.append(f"    threshold: {nearest.threshold:g}  # skips {share(nearest.skipped)}")
    if entry.variant == "retention":
        lines.append("    retention: true")
    return "\n".join([*lines, f"    coefficients: {out}"])
