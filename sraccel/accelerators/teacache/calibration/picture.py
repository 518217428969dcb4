"""A fit as a picture: what was measured, the polynomial through it, and how far to trust it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sraccel.accelerators.teacache.calibration_file import CalibrationEntry
from sraccel.plugin import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from sraccel.accelerators.teacache.calibration.fitting import Points

MUTED = "#7A8CA3"
CURVE = "#D55E00"
IDENTITY = "#999999"
DPI = 150


def save_picture(entry: CalibrationEntry, points: Points, path: str | Path) -> Path:
    """Draw a fit as a PNG.

    Raises:
        OutputError: the file cannot be written.
    """
    figure = draw(entry, points)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=DPI)
    return Path(path)


def draw(entry: CalibrationEntry, points: Points) -> Figure:
    """The picture as a matplotlib figure, which belongs to the caller alone."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5.6), layout="constrained")
    axes = figure.subplots()
    _curves(axes, entry, points)
    axes.set_xlabel("relative L1 change of the modulated input, step to step (no unit)")
    axes.set_ylabel(f"relative L1 change of the {entry.target} (no unit)")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#E5E5E5", linewidth=0.7)
    axes.set_axisbelow(True)
    legend = figure.legend(loc="outside lower center", ncols=3, fontsize=9, frameon=False)
    for handle in legend.legend_handles:
        if handle is not None:
            handle.set_alpha(1)
    _caption(axes, entry)
    return figure


def _curves(axes: Axes, entry: CalibrationEntry, points: Points) -> None:
    low, high = points.x.min(), points.x.max()
    grid = np.linspace(low, high, 512)
    values = np.polyval(entry.coefficients, grid)
    label = f"{len(points.x)} changes from step to step"
    alpha = float(np.clip(60 / len(points.x) ** 0.7, 0.08, 0.6))
    axes.scatter(
        points.x, points.y, s=13, color=MUTED, alpha=alpha, linewidths=0, label=label, zorder=2
    )
    axes.plot(
        grid, grid, color=IDENTITY, linestyle="--", linewidth=1.2, label="identity: y = x", zorder=3
    )
    axes.plot(grid, values, color=CURVE, linewidth=2.2, label="fitted polynomial", zorder=4)
    margin = 0.03 * (high - low)
    axes.set_xlim(low - margin, high + margin)
    # A wild curve or a far identity may leave the picture; the measured points may not.
    top = 1.1 * float(points.y.max())
    axes.set_ylim(min(0.0, max(float(values.min()), -0.5 * top)), top)


def _title(entry: CalibrationEntry) -> str:
    variant = "" if entry.variant == "plain" else f", {entry.variant} variant"
    return f"TeaCache calibration: {entry.role} denoiser{variant}"


def _caption(axes: Axes, entry: CalibrationEntry) -> None:
    """The title, and below it how good the fit is."""
    axes.set_title(_title(entry), loc="left", fontsize=12, fontweight="bold", pad=51)
    axes.annotate(
        f"{_runs_text(entry)}\n{_fit_text(entry)}\n{_held_out_text(entry)}",
        xy=(0, 1),
        xycoords="axes fraction",
        xytext=(0, 7),
        textcoords="offset points",
        va="bottom",
        fontsize=9.5,
    )


def _runs_text(entry: CalibrationEntry) -> str:
    steps = " and ".join(map(str, entry.num_inference_steps))
    prompts, seeds = _counted(len(entry.prompts), "prompt"), _counted(len(entry.seeds), "seed")
    return f"{entry.class_name}, {prompts}, {seeds}, runs of {steps} steps"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _fit_text(entry: CalibrationEntry) -> str:
    """How the fit does on its own points."""
    error = "" if entry.error is None else f", mean absolute error {entry.error:.3g}"
    return f"on its own points: R² {entry.r2:.3f}{error}"


def _held_out_text(entry: CalibrationEntry) -> str:
    """How the fit does on prompts that were left out."""
    if entry.r2_held_out is None or entry.error_held_out is None:
        return "on prompts left out: not measured"
    return (
        f"on prompts left out: R² {entry.r2_held_out:.3f}, "
        f"mean absolute error {entry.error_held_out:.3g}"
    )
