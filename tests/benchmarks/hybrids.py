"""Hybrids of the demo pair against each model alone, against the other order, and fewer steps.

    python tests/benchmarks/hybrids.py --prompts 256 --out docs/assets/benchmarks

The question: is there a hybrid, at twice the speed or more, whose semantic score stays within two
points of the sketch model's (by the 95% interval of the paired difference)? The same command goes
on after an interrupt; what is finished lies in `--work`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parent))

from points import Setting, draw, load_pair, measure, points_text, row, show, start

from sraccel.report.build import versions

THRESHOLDS = (0.005, 0.01, 0.02, 0.03)
MIN_STEP = 17
SWITCH_STEPS = (12, 15, 18, 20, 25)
BACK_SWITCH_STEPS = (10, 25)
FEWER_STEPS = (25, 17, 12)
STEPS = 50
GOAL_SPEEDUP = 2.0
GOAL_POINTS = 2
HYBRIDS = ("SRDiffusion, adaptive", f"SRDiffusion, min_step {MIN_STEP}", "SRDiffusion, fixed")


def settings(pipes: Mapping[str, Any]) -> list[Setting]:
    """Everything that is compared, the bare sketch model first."""
    sketch, render = pipes["transformer"].transformer, pipes["render"].transformer
    switch = {"use": "srdiffusion", "render": render}
    adaptive, delayed, fixed = HYBRIDS
    return [
        Setting("bare", "sketch only"),
        Setting("render only", "render only", role="render"),
        *(
            Setting(adaptive, f"threshold {value}", [{**switch, "threshold": value}])
            for value in THRESHOLDS
        ),
        Setting(delayed, "threshold 0.01", [{**switch, "threshold": 0.01, "min_step": MIN_STEP}]),
        *(Setting(fixed, f"switch at {k}", [{**switch, "switch_step": k}]) for k in SWITCH_STEPS),
        *(
            Setting(
                "small, then large",  # the order of T-Stitch (arXiv 2402.14167)
                f"switch at {k}",
                [{**switch, "render": sketch, "switch_step": k}],
                role="render",
            )
            for k in BACK_SWITCH_STEPS
        ),
        *(Setting("fewer plain steps", f"{steps} steps", steps=steps) for steps in FEWER_STEPS),
    ]


def verdict(rows: list[dict[str, Any]]) -> str:
    """Which hybrids reach the goal, the fastest first; or the nearest, if none does."""
    goal = f"{GOAL_SPEEDUP:g}x or more, at most {GOAL_POINTS} points lost (95% interval)"
    hybrids = [r for r in rows if r["family"] in HYBRIDS]
    fast = [r for r in hybrids if r["speedup"] >= GOAL_SPEEDUP]
    good = [r for r in fast if r["difference"][1] >= -GOAL_POINTS / 100]
    if good:
        best = sorted(good, key=lambda r: -r["speedup"])
        return "\n".join([f"goal ({goal}): reached by", *map(_line, best)])
    nearest = max(fast or hybrids, key=lambda r: r["difference"][1])
    return f"goal ({goal}): reached by no hybrid; the nearest is\n{_line(nearest)}"


def _line(r: dict[str, Any]) -> str:
    speed = f"{r['speedup']:.2f}x ({r['cpu_speedup'][0]:.2f}x by CPU time)"
    return f"  {r['name']}: {speed}, {points_text(r['difference'])} points"


def main() -> None:
    """Measure, print, and write hybrids.json and hybrids.png."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--prompts", type=int, default=256)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--work", type=Path, default=Path("runs/hybrids"))
    parser.add_argument("--out", type=Path, default=Path("runs/hybrids"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    pipes = load_pair()
    points = settings(pipes)
    with torch.no_grad():
        measure(points, pipes, arguments.prompts, arguments.batch, arguments.work)
    rows = [row(point, points[0]) for point in points]
    show(rows)
    print(verdict(rows))
    content = {
        "date": datetime.now(UTC).date().isoformat(),
        "versions": dict(versions()),
        "threads": torch.get_num_threads(),
        "prompts": arguments.prompts,
        "batch": arguments.batch,
        "steps": STEPS,
        "verdict": verdict(rows),
        "rows": rows,
    }
    (arguments.out / "hybrids.json").write_text(json.dumps(content, indent=1) + "\n")
    draw(rows, arguments.out / "hybrids.png", GOAL_POINTS)


if __name__ == "__main__":
    start(main)
