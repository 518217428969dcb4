"""What accelerators are worth at which flow shift: one pair, other spacings of its noise levels.

    cp docs/assets/benchmarks/placements.json runs/shift/  # has shift 0.7
    python tests/benchmarks/placements.py --shifts 0.1 0.25 0.5 1 2 4 8 --budgets 12 8 --sweeps 1 \
        --out runs/shift/placements.json
    python tests/benchmarks/shift.py --prompts 32 --out docs/assets/benchmarks

At every shift: the bare run, fewer steps at the scheduler's own spacing and placed well (on other
prompts), TeaCache, SRDiffusion by the paper's rule, and both. PSNR is to the bare run of the same
shift, and to a converged run, which is the same at every shift. Resumable, by `--shard`, as
rivals.py is.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent))

from costs import unit_costs
from placed import Placements
from point_figures import row, show
from points import Setting, Shard, header, load_pair, measure, start

from sraccel.files import replacing

SHIFTS = (0.25, 0.5, 0.7, 1.0, 2.0, 4.0, 8.0)
STEPS = 50
UNIFORM_STEPS = (25, 12, 8)
THRESHOLD, CACHE = 0.01, 0.2
NAMES = {
    "bare": ("bare", "#000000", "o-"),
    "12 steps": ("12 steps, uniform", "#555555", "x--"),
    "12 placed": ("12 steps, placed", "#d55e00", "x--"),
    "TeaCache": (f"TeaCache {CACHE}", "#0072b2", "s-"),
    "SRDiffusion": ("SRDiffusion, the paper's rule", "#009e73", "D-"),
    "SRDiffusion + TeaCache": ("both", "#cc79a7", "^-"),
}
"""The lines of the picture: label, colour and style, by what a setting is at its shift."""
PANELS = {
    "score": "attributes shown, mean (%)",
    "iou": "figures' overlap with the ideal (%)",
    "bare": "PSNR to the bare run of this shift (dB)",
    "converged": "PSNR to a converged run (dB)",
    "speedup": "speedup (counted)",
    "switch": "SRDiffusion's switch (step of 50)",
}


def settings(
    pipes: Mapping[str, Any], placements: Mapping[float, Placements], budgets: Sequence[int]
) -> list[Setting]:
    """Everything that is compared; the first shift's bare run comes first."""
    found = [next(iter(placements.values())).converged()]
    for shift, placed in placements.items():
        found += _of_shift(pipes, shift, placed, budgets)
    return found[1:] + found[:1]


def _of_shift(
    pipes: Mapping[str, Any], shift: float, placed: Placements, budgets: Sequence[int]
) -> list[Setting]:
    render = pipes["render"].transformer
    switch = {"use": "srdiffusion", "render": render, "threshold": THRESHOLD}
    cache = {"use": "teacache", "threshold": CACHE}
    more: dict[str, Any] = {"shift": shift, "beside": f"{shift:g}"}
    recipes = {"TeaCache": [cache], "SRDiffusion": [switch]}
    recipes["SRDiffusion + TeaCache"] = [switch, cache]
    return [
        Setting("bare", _named(shift, "bare"), **more),
        *(Setting("fewer", _named(shift, f"{n} steps"), steps=n, **more) for n in UNIFORM_STEPS),
        *(
            Setting("placed", _named(shift, f"{n} placed"), positions=positions, **more)
            for n, positions in placed.positions.items()
            if n in budgets
        ),
        *(
            Setting("accelerated", _named(shift, name), recipe, **more)
            for name, recipe in recipes.items()
        ),
    ]


def _named(shift: float, what: str) -> str:
    return f"shift {shift:g}, {what}"


def rows_of(points: list[Setting]) -> list[dict[str, Any]]:
    """The figures of every setting, beside the bare run of its own shift."""
    units = unit_costs(points)
    bare = {point.beside: point for point in points if point.family == "bare"}
    rows = []
    for point in points:
        if point.family == "converged":
            continue
        made = row(point, bare[point.beside], units)
        switches = [step for step in point.outcome.switch_steps if step is not None]
        made["switch"] = float(np.median(switches)) if switches else None
        made["what"] = point.label.partition(", ")[2]
        rows.append(made)
    return rows


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """A panel a measure, over the shift; a line a way of making the videos."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 7.5), layout="constrained", dpi=120)
    for axes, (measure_name, label) in zip(figure.subplots(2, 3).flat, PANELS.items(), strict=True):
        for what in NAMES:
            _draw_line(axes, [r for r in rows if r["what"] == what], what, measure_name)
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.set_xlabel("flow shift")
        axes.set_title(label, fontsize=10)
        axes.grid(alpha=0.3)
    figure.axes[0].legend(fontsize=8)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")


def _draw_line(axes: Any, rows: list[dict[str, Any]], what: str, measure_name: str) -> None:
    label, colour, style = NAMES[what]
    found = [(r["shift"], _value(r, measure_name)) for r in rows]
    known = [(shift, value) for shift, value in found if value is not None]
    if known:
        shifts, values = zip(*sorted(known), strict=True)
        axes.plot(shifts, values, style, color=colour, label=label, markersize=6)


def _value(r: dict[str, Any], name: str) -> float | None:
    """One figure; None where it says nothing."""
    if name in ("score", "iou"):
        return 100 * float(r[name])
    if name == "speedup":
        return float(r["counted_speedup"][0])
    if name == "switch":
        return None if r["switch"] is None else float(r["switch"])
    if r["family"] == name:
        return None
    return float(r["psnr_db"][name][0])


def options() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shifts", type=float, nargs="+", default=SHIFTS)
    parser.add_argument("--budgets", type=int, nargs="+", default=(12, 8), help="placed steps")
    parser.add_argument("--prompts", type=int, default=32)
    parser.add_argument("--batch", type=int, default=4, help="prompts that share decisions (4)")
    parser.add_argument("--steps", type=int, default=STEPS, help="of the grid, as in placements")
    parser.add_argument("--shard", type=Shard.parse, default=Shard(), help="0/2 and 1/2, say")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--placements", type=Path, default=Path("runs/shift/placements.json"))
    parser.add_argument("--work", type=Path, default=Path("runs/shift"))
    parser.add_argument("--out", type=Path, default=Path("runs/shift"))
    return parser.parse_args()


def publish(points: list[Setting], fixed: Mapping[str, Any], arguments: argparse.Namespace) -> None:
    """Print; write shift.json and shift.png."""
    rows = rows_of(points)
    show(rows)
    content = {
        "date": datetime.now(UTC).date().isoformat(),
        **fixed,
        "prompts": arguments.prompts,
        "placements": json.loads(arguments.placements.read_text("utf-8"))["shifts"],
        "rows": rows,
    }
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "shift.json").write_text(json.dumps(content, indent=1) + "\n", "utf-8")
    draw(rows, arguments.out / "shift.png")


def main() -> None:
    """Measure this shard; where all shards are there, print and publish."""
    arguments = options()
    torch.set_num_threads(arguments.threads)
    pipes = load_pair()
    placements = {
        shift: Placements.load(arguments.placements, pipes["transformer"], arguments.steps, shift)
        for shift in arguments.shifts
    }
    points = settings(pipes, placements, arguments.budgets)
    for point in points:
        if point.steps == STEPS:
            point.steps = arguments.steps
    points = [p for p in points if p.family == "converged" or p.steps <= arguments.steps]
    with torch.no_grad():
        complete = measure(
            points, pipes, arguments.prompts, arguments.batch, arguments.work, arguments.shard
        )
    if not complete:
        print("other shards are not finished: the same command without --shard shows the results")
        return
    publish(points, header(points, pipes, arguments.batch), arguments)


if __name__ == "__main__":
    start(main)
