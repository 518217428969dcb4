"""The figures of settings: rows with intervals, a table, pictures of quality over speedup."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parent))

from costs import Units, counted_seconds
from points import Setting, quartiles
from semantic import MEASURES, paired_interval

from sraccel.demo.score import ATTRIBUTES
from sraccel.files import replacing

Row = dict[str, Any]
LINES = {
    "fewer steps, uniform": "#555555",
    "fewer steps, placed": "#d55e00",
    "fewer steps, shift 1": "#999933",
}
"""The trivial rivals: drawn as lines, so that it is seen what lies above them."""
COLOURS = ("#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c5a7f", "#117733", "#882255")


def row(point: Setting, bare: Setting, units: Units) -> Row:
    """The figures of one setting; differences are paired, with 95% bootstrap intervals."""
    ours, theirs = point.outcome, bare.outcome
    made = {
        "family": point.family,
        "label": point.label,
        "name": point.name,
        **point.describe(),
        **_speed(point, bare, units),
        "psnr_db": {name: _psnr(values) for name, values in point.psnr_db.items()},
        "reused": sum(ours.reused) / len(ours.reused),
        "computed_steps": float(np.mean([len(steps) for steps in ours.computed])),
        "switch_steps": sorted({-1 if step is None else step for step in ours.switch_steps}),
        "attributes": {
            name: paired_interval(ours.attribute(name), theirs.attribute(name))
            for name in ATTRIBUTES
        },
        "whole": float(np.mean([score.whole for score in ours.scores])),
    }
    for name in MEASURES:
        made[name] = float(ours.measure(name).mean())
        made[f"{name}_difference"] = paired_interval(ours.measure(name), theirs.measure(name))
    return made


def _speed(point: Setting, bare: Setting, units: Units) -> Row:
    """Medians over batches, with quartiles: by the clock, by the processor, and counted."""
    ours, theirs = point.outcome, bare.outcome
    counted = [counted_seconds(each, units) for each in (bare, point)]
    return {
        "seconds_per_batch": quartiles(ours.seconds)[0],
        "speedup": _ratios(theirs.seconds, ours.seconds),
        "cpu_speedup": _ratios(theirs.cpu_seconds, ours.cpu_seconds),
        "counted_speedup": _ratios(*counted),
    }


def _ratios(theirs: list[float], ours: list[float]) -> tuple[float, float, float]:
    return quartiles([b / a for b, a in zip(theirs, ours, strict=True)])


def _psnr(values: list[float]) -> tuple[float, float, float]:
    """Mean over prompts and its 95% interval."""
    low_high: tuple[float, float, float] = paired_interval(np.array(values), np.zeros(len(values)))
    return low_high


def show(rows: list[Row]) -> None:
    """Print speed and quality, then every attribute's difference to the bare runs."""
    console = Console()
    if not console.is_terminal:  # a file has room for all columns
        console = Console(width=max(console.width, 260))
    speed = Table(
        title="speedup by the clock (quartiles over batches), by CPU time, counted; mean PSNR to "
        "the bare, the converged and the ideal video; differences to bare (95% intervals)"
    )
    headings = "speedup", "CPU", "counted", "switch", "computed", "bare", "converged", "ideal"
    for heading in ("setting", *headings, "score", "difference, points", "IoU", "difference", "px"):
        justify: Any = "left" if heading == "setting" else "right"
        speed.add_column(heading, justify=justify, no_wrap=True)
    each = Table(title="difference of each attribute to the bare runs, points (95% interval)")
    each.add_column("setting", no_wrap=True)
    for name in ATTRIBUTES:
        each.add_column(name, justify="right", no_wrap=True)
    for r in rows:
        speed.add_row(*_cells(r))
        each.add_row(r["name"], *(points_text(r["attributes"][name]) for name in ATTRIBUTES))
    console.print(speed, each)


def _cells(r: Row) -> list[str]:
    middle, low, high = r["speedup"]
    psnr = (r["psnr_db"].get(name) for name in ("bare", "converged"))
    own = r["family"]
    return [
        r["name"],
        f"{middle:.2f}x ({low:.2f} to {high:.2f})",
        f"{r['cpu_speedup'][0]:.2f}x",
        f"{r['counted_speedup'][0]:.2f}x",
        _steps(r["switch_steps"]),
        f"{r['computed_steps']:.1f}",
        *(
            "" if found is None or name == own else f"{found[0]:.1f}"
            for name, found in zip(("bare", "converged"), psnr, strict=True)
        ),
        f"{r['ideal_psnr_db']:.1f}",
        f"{r['score']:.1%}",
        points_text(r["score_difference"]),
        f"{r['iou']:.3f}",
        points_text(r["iou_difference"]),
        f"{r['path']:.2f}",
    ]


def points_text(difference: Any) -> str:
    """A difference of shares and its interval, in points."""
    middle, low, high = (100 * value for value in difference)
    return f"{middle:+.1f} ({low:+.1f} to {high:+.1f})"


def _steps(steps: list[int]) -> str:
    taken = [step for step in steps if step >= 0]
    if not taken:
        return ""
    span = f"{taken[0]}" if len(taken) == 1 else f"{taken[0]} to {taken[-1]}"
    return span if len(taken) == len(steps) else f"{span}, never"


def front(rows: list[Row], measure: str) -> list[Row]:
    """The rows that no other beats in both speed and this measure, the slowest first."""
    best, found = -np.inf, []
    for r in sorted(rows, key=lambda r: -r["counted_speedup"][0]):
        if r[measure] > best and r["family"] != "converged":
            best = r[measure]
            found.append(r)
    return found[::-1]


def draw(rows: list[Row], measure: str, label: str, path: Path) -> None:
    """A measure (a share) over counted speedup: the trivial rivals as lines, the rest as marks."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 6), layout="constrained", dpi=130)
    axes = figure.subplots()
    rows = [r for r in rows if r["family"] != "converged"]
    families = [name for name in dict.fromkeys(r["family"] for r in rows) if name not in LINES]
    for family, colour in LINES.items():
        _draw_family(axes, rows, family, measure, fmt="x--", color=colour, linewidth=2)
    for index, family in enumerate(families):
        style = {"fmt": "osD^vP*<>h"[index % 10], "color": COLOURS[index % len(COLOURS)]}
        _draw_family(axes, rows, family, measure, **style, linestyle="none")
    edge = front(rows, measure)
    axes.step(
        [r["counted_speedup"][0] for r in edge],
        [r[measure] * 100 for r in edge],
        where="pre",
        color="0.8",
        linewidth=5,
        zorder=0,
        label="front",
    )
    axes.set_xlabel("speedup over the bare sketch model (denoising, counted at measured costs)")
    axes.set_ylabel(label)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}x")
    axes.grid(alpha=0.3)
    figure.legend(fontsize=8, loc="outside right upper")
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")


def _draw_family(axes: Any, rows: list[Row], family: str, measure: str, **style: Any) -> None:
    """One family with its intervals, those of the difference to bare."""
    chosen = sorted(
        (r for r in rows if r["family"] == family), key=lambda r: r["counted_speedup"][0]
    )
    if not chosen:
        return
    differences = [r[f"{measure}_difference"] for r in chosen]
    axes.errorbar(
        [r["counted_speedup"][0] for r in chosen],
        [r[measure] * 100 for r in chosen],
        yerr=[
            [(middle - low) * 100 for middle, low, _ in differences],
            [(high - middle) * 100 for middle, _, high in differences],
        ],
        label=family,
        markersize=7,
        capsize=2,
        elinewidth=0.8,
        **style,
    )
