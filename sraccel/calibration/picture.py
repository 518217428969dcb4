"""Calibrations as pictures: of budgets the predicted error of each, where it falls, which steps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sraccel.calibration.budgets import BudgetFile
from sraccel.calibration.calibration import Calibration, FitFile
from sraccel.files import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from sraccel.calibration.trajectory import Trajectory

OWN, HELD_OUT = "#7A8CA3", "#D55E00"
DPI = 130


def save_picture(file: BudgetFile, path: str | Path) -> Path:
    """Draw budgets as a PNG.

    Raises:
        OutputError: the file cannot be written.
    """
    return _saved(draw(file), path)


def save_fit_picture(
    calibration: Calibration, file: FitFile, runs: Sequence[Trajectory], path: str | Path
) -> Path:
    """Draw a fit, and what it was made of, as a PNG.

    Raises:
        OutputError: the file cannot be written.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    calibration.draw(axes, file.fit, runs)
    axes.set_title(f"{file.name}: {file.class_name}, {len(file.prompts)} prompts", fontsize=10)
    axes.grid(alpha=0.3)
    return _saved(figure, path)


def _saved(figure: Figure, path: str | Path) -> Path:
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=DPI)
    return Path(path)


def draw(file: BudgetFile) -> Figure:
    """The picture as a matplotlib figure, which belongs to the caller alone."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 6.5), layout="constrained")
    errors, steps = figure.subplots(2, 1, sharex=True)
    _errors(errors, file)
    for number, budget in file.budgets.items():
        steps.plot([number] * number, budget.positions, "s", color=OWN, markersize=4)
    steps.set_ylabel("which steps of the grid")
    steps.set_xlabel("number of steps")
    steps.invert_yaxis()
    steps.grid(alpha=0.3)
    title = f"Calibration of {file.what}: {file.class_name}, {len(file.prompts)} prompts"
    figure.suptitle(title, fontsize=11, fontweight="bold", x=0.01, ha="left")
    return figure


def _errors(axes: Axes, file: BudgetFile) -> None:
    """Predicted errors by number of steps; a cliff is where the line falls steeply."""
    series = {
        "on the calibration prompts": ("o-", OWN, {n: b.error for n, b in file.budgets.items()}),
        "on prompts left out": (
            "x--",
            HELD_OUT,
            {n: b.error_held_out for n, b in file.budgets.items()},
        ),
    }
    for label, (style, colour, values) in series.items():
        known = sorted((n, value) for n, value in values.items() if value)
        if known:
            axes.plot(*zip(*known, strict=True), style, color=colour, label=label)
            _log_scale(axes)
    axes.set_ylabel("predicted error (latents)")
    axes.grid(alpha=0.3)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False)


def _log_scale(axes: Axes) -> None:
    """Logarithmic, with ticks written out; those within a decade where there is but one."""
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("{x:g}" if high < 10 * low else "")
