"""The front as a picture: speed and quality of what was tried, and of what was held out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sraccel.files import replacing
from sraccel.tuning.goal import Goal
from sraccel.tuning.outcome import Measured, Outcome

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 130
STYLES = {
    "tuned": ("o", "#D55E00", "tuned, held-out prompts"),
    "shipped": ("*", "#0072B2", "the recipe as it was"),
    "rival": ("^", "#009E73", "fewer steps, placed"),
}
TRIED = "#B8C0CC"


def save_picture(outcome: Outcome, path: Path) -> Path:
    """Draw it as a PNG.

    Raises:
        OutputError: the file cannot be written.
    """
    with replacing(path) as temporary:
        draw(outcome).savefig(temporary, format="png", dpi=DPI)
    return path


def draw(outcome: Outcome) -> Figure:
    """The picture as a matplotlib figure, which belongs to the caller alone."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    tried = [(one.speedup, one.quality) for one in outcome.tried]
    if tried:
        axes.plot(*zip(*tried, strict=True), ".", color=TRIED, label="tried, prompts that choose")
    for kind, (marker, colour, label) in STYLES.items():
        _points(axes, [one for one in outcome.points if one.kind == kind], marker, colour, label)
    goal = Goal.parse(outcome.goal)
    axes.axhline(goal.limit, color="black", linewidth=0.8, linestyle="--")
    axes.set_xlabel("speedup of the denoising loop")
    axes.set_ylabel(goal.metric)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize=8)
    return figure


def _points(axes: Axes, points: list[Measured], marker: str, colour: str, label: str) -> None:
    for number, one in enumerate(points):
        axes.errorbar(
            one.speedup.value,
            one.quality.value,
            xerr=_ends(one.speedup.value, one.speedup.low, one.speedup.high),
            yerr=_ends(one.quality.value, one.quality.low, one.quality.high),
            fmt=marker,
            color=colour,
            markersize=10 if marker == "*" else 6,
            linewidth=0.8,
            label=label if number == 0 else None,
        )
        axes.annotate(
            one.name, (one.speedup.value, one.quality.value), fontsize=7, xytext=(5, 4),
            textcoords="offset points",
        )  # fmt: skip


def _ends(value: float, low: float | None, high: float | None) -> list[list[float]] | None:
    if low is None or high is None:
        return None
    return [[max(value - low, 0.0)], [max(high - value, 0.0)]]
