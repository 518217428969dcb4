"""The front of speed and semantic score on held-out prompts of the demo pair.

    python tests/benchmarks/front.py --prompts 256 --out docs/assets/benchmarks

The same command goes on after an interrupt; what is finished lies in `--work`.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent))

from points import Setting, draw, load_pair, measure, row, show, start

import sraccel


def settings(steps: int, wanted: set[str]) -> list[Setting]:
    """Everything that is compared; `bare` is always there."""
    switch = {"use": "srdiffusion", "render": "demo"}
    found = [Setting("bare", "sketch only", steps=steps)]
    found.append(Setting("render only", "render only", steps=steps, role="render"))
    found += [
        Setting("fewer plain steps", f"{fewer} steps", steps=fewer)
        for fewer in (round(steps / ratio) for ratio in (1.5, 2, 3, 4))
    ]
    found += [
        Setting("SRDiffusion, fixed", f"switch at {k}", [{**switch, "switch_step": k}], steps)
        for k in (round(steps * share) for share in (0.2, 0.3, 0.4, 0.5))
    ]
    found += [
        Setting(
            "SRDiffusion, adaptive", f"threshold {value}", [{**switch, "threshold": value}], steps
        )
        for value in (0.005, 0.01, 0.02)
    ]
    found += [
        Setting("TeaCache", f"threshold {value}", [{"use": "teacache", "threshold": value}], steps)
        for value in (0.05, 0.1, 0.2)
    ]
    found += [
        Setting(
            "SRDiffusion + TeaCache",
            f"switch at {k}, threshold {value}",
            [{**switch, "switch_step": k}, {"use": "teacache", "threshold": value}],
            steps,
        )
        for k in (round(steps * share) for share in (0.4, 0.5))
        for value in (0.05, 0.1, 0.2)
    ]
    found.append(
        Setting("demo recipe", "demo recipe", list(sraccel.Recipe.load("demo").accelerators), steps)
    )
    return [item for item in found if not wanted or item.family in wanted | {"bare"}]


def main() -> None:
    """Measure, print, and write front.json and front.png."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--prompts", type=int, default=256)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--families", nargs="*", default=[], help="only these (and bare)")
    parser.add_argument("--work", type=Path, default=Path("runs/front"))
    parser.add_argument("--out", type=Path, default=Path("runs/front"))
    parser.add_argument("--recipes", nargs="*", default=[], help="only these recipes (and bare)")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    points = settings(arguments.steps, {"none"} if arguments.recipes else set(arguments.families))
    for name in arguments.recipes:
        recipe = sraccel.Recipe.load(name)
        points.append(Setting("recipe", name, list(recipe.accelerators), arguments.steps))
    with torch.no_grad():
        measure(points, load_pair(), arguments.prompts, arguments.batch, arguments.work)
    rows = [row(point, points[0]) for point in points]
    show(rows)
    content = {"prompts": arguments.prompts, "steps": arguments.steps, "rows": rows}
    (arguments.out / "front.json").write_text(json.dumps(content, indent=1) + "\n")
    draw(rows, arguments.out / "front.png")


if __name__ == "__main__":
    start(main)
