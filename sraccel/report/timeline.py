"""The report as a picture: what each step was computed by, what it cost, and the switch.

Colour stands for the model and hatching for reuse, so that every state also differs without
colour; the colours are Okabe and Ito's, which colour-blind readers can tell apart.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from sraccel.errors import OutputError
from sraccel.files import replacing
from sraccel.report.table import branches, seconds

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from sraccel.report.model import CallRecord, Report, StepRecord

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7")
PALE = ("#A6CDE6", "#FBE3B0", "#A9DCCB", "#EFCFE0")
REUSED_HATCH = "////"
GREY = "#444444"
DPI = 150
LABEL_BOX = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.5}


def save_timeline(report: Report, path: str | Path) -> Path:
    """Draw the step timeline of a run as a PNG.

    Three panels share the steps: which model computed each branch and where it reused a residual,
    seconds per call (stacked by branch), and SRDiffusion's metric D with the switch.

    Raises:
        OutputError: the report has no steps, or the file cannot be written.
    """
    if not report.steps:
        raise OutputError(
            f"no steps to draw in {path}: the run ended before its first step", path=path
        )
    figure = draw_timeline(report)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=DPI)
    return Path(path)


def draw_timeline(report: Report) -> Figure:
    """The timeline as a matplotlib figure, which belongs to the caller alone."""
    from matplotlib.figure import Figure

    names = branches(report.steps)
    strip_height = 0.35 + 0.38 * len(names)
    figure = Figure(figsize=(10, 4.6 + strip_height), layout="constrained")
    strip, bars, metric = figure.subplots(3, 1, sharex=True, height_ratios=[strip_height, 2.1, 1.7])
    painter = _Painter(report.steps)
    painter.strip(strip, names)
    painter.seconds(bars, names)
    _bare_level(bars, report)
    _metric(metric, report.steps)
    for axes in (strip, bars, metric):
        _mark_switches(axes, report.steps)
    _label(figure, strip, metric, report)
    handles = painter.legend()
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False)
    return figure


class _Painter:
    """Draws calls in the colour of their denoiser, hatched where the residual was reused."""

    def __init__(self, steps: list[StepRecord]) -> None:
        self.steps = steps
        self.roles = list(dict.fromkeys(call.denoiser for step in steps for call in step.calls))

    def look(self, denoiser: str, reused: bool) -> dict[str, object]:
        index = self.roles.index(denoiser) % len(COLOURS)
        return {
            "facecolor": PALE[index] if reused else COLOURS[index],
            "edgecolor": COLOURS[index] if reused else "white",
            "hatch": REUSED_HATCH if reused else None,
            "linewidth": 0.6,
        }

    def strip(self, axes: Axes, names: list[str]) -> None:
        """One row a branch, one cell a call."""
        for step in self.steps:
            for call in step.calls:
                self._cell(axes, step.index, names.index(call.branch), call)
        axes.set_xlim(self.steps[0].index - 0.6, self.steps[-1].index + 0.6)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_yticks(range(len(names)), names)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)

    def _cell(self, axes: Axes, index: int, row: int, call: CallRecord) -> None:
        from matplotlib.patches import Rectangle

        axes.add_patch(
            Rectangle((index - 0.45, row - 0.4), 0.9, 0.8, **self.look(call.denoiser, call.reused))  # type: ignore[arg-type]
        )

    def seconds(self, axes: Axes, names: list[str]) -> None:
        """Milliseconds per call, stacked in the order of the branches."""
        axes.set_ylabel("ms per step")
        _tidy(axes)
        if all(call.seconds is None for step in self.steps for call in step.calls):
            _say(axes, "seconds per call: not measured")
            return
        for step in self.steps:
            bottom = 0.0
            for call in sorted(step.calls, key=lambda call: names.index(call.branch)):
                height = 1000 * (call.seconds or 0.0)
                look = self.look(call.denoiser, call.reused)
                axes.bar(step.index, height, width=0.9, bottom=bottom, **look)  # type: ignore[arg-type]
                bottom += height

    def legend(self) -> list[object]:
        """One entry for each state that occurs."""
        from matplotlib.patches import Patch

        states = {(call.denoiser, call.reused) for step in self.steps for call in step.calls}
        return [
            Patch(label=f"{role} {'reused' if reused else 'computed'}", **self.look(role, reused))  # type: ignore[arg-type]
            for role in self.roles
            for reused in (False, True)
            if (role, reused) in states
        ]


def _bare_level(axes: Axes, report: Report) -> None:
    """What a step of the bare run took on average, as a line."""
    if report.baseline is None or not report.num_inference_steps:
        return
    level = report.baseline.seconds / report.num_inference_steps
    axes.axhline(1000 * level, color=GREY, linestyle=":", linewidth=1.4)
    axes.annotate(
        f"bare run: {seconds(level)} per step",
        xy=(1, 1000 * level),
        xycoords=("axes fraction", "data"),
        xytext=(-4, -4),
        textcoords="offset points",
        ha="right",
        va="top",
        fontsize=8.5,
        bbox=LABEL_BOX,
    )


def _metric(axes: Axes, steps: list[StepRecord]) -> None:
    measured = [(step.index, step.noise_rel_l1) for step in steps if step.noise_rel_l1 is not None]
    axes.set_ylabel("D (relative L1)")
    axes.set_xlabel("step")
    _tidy(axes)
    if not measured:
        _say(axes, "metric D: not measured in this run")
        return
    indices, values = zip(*measured, strict=True)
    axes.plot(indices, values, color=GREY, marker="o", markersize=4, linewidth=1.2, label="D")
    axes.set_ylim(0, 1.15 * max(values))
    _deciding_metric(axes, steps)


def _deciding_metric(axes: Axes, steps: list[StepRecord]) -> None:
    """D as the per-step rule sees it, where that decided."""
    rates = [(s.index, s.noise_rel_l1_per_step) for s in steps if s.noise_rel_l1_per_step]
    if rates:
        label = "D per step, between computed steps: decides"
        axes.plot(*zip(*rates, strict=True), color="black", marker="D", linewidth=1.2, label=label)
        axes.legend(loc="center right", fontsize=8.5, framealpha=0.9)


def _mark_switches(axes: Axes, steps: list[StepRecord]) -> None:
    for previous, current in pairwise(steps):
        if previous.denoiser != current.denoiser:
            axes.axvline(current.index - 0.5, color="black", linestyle="--", linewidth=1.2)


def _label(figure: Figure, strip: Axes, metric: Axes, report: Report) -> None:
    figure.suptitle(_title(report), fontsize=12, fontweight="bold")
    prompt = str(report.call.get("prompt") or "")
    strip.set_title(prompt if len(prompt) <= 110 else prompt[:107] + "...", fontsize=9.5)
    if report.switch_step is not None:
        _label_switch(metric, report, report.switch_step)


def _label_switch(axes: Axes, report: Report, switch: int) -> None:
    """Say beside the line what switched; on its left where it comes late in the run."""
    more = f"\nrule: {report.switch_rule}" if report.switch_rule else ""
    if report.handoff is not None and report.handoff.seconds is not None:
        more += f"\nhand-off: {report.handoff.kind}, {seconds(report.handoff.seconds)}"
    late = switch > len(report.steps) / 2
    axes.annotate(
        f"switch: render from step {switch}{more}",
        xy=(switch - 0.5, 0.97),
        xycoords=("data", "axes fraction"),
        xytext=(-6 if late else 6, 0),
        textcoords="offset points",
        ha="right" if late else "left",
        va="top",
        fontsize=8.5,
        bbox=LABEL_BOX,
    )


def _title(report: Report) -> str:
    speedup = report.speedup
    parts = [" + ".join(record.name for record in report.accelerators) or "empty stack"]
    if speedup.measured is not None:
        parts.append(f"{speedup.measured:.2f}x measured")
    if speedup.predicted is not None:
        parts.append(f"{speedup.predicted:.2f}x predicted")
    if report.outcome != "finished":
        parts.append(report.outcome)
    return ", ".join(parts)


def _tidy(axes: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#DDDDDD", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _say(axes: Axes, text: str) -> None:
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=GREY)
    axes.set_yticks([])
