"""Every accelerator of the demo pair beside its trivial rivals, on held-out prompts.

    python tests/benchmarks/placements.py --out docs/assets/benchmarks/placements.json
    python tests/benchmarks/rivals.py --shard 0/2 &
    python tests/benchmarks/rivals.py --shard 1/2
    python tests/benchmarks/rivals.py --out docs/assets/benchmarks

The rivals: fewer steps at the scheduler's own spacing, at that of shift 1, placed well in the grid
(on other prompts), and plain steps at the very positions that a cache computed. PSNR is to the bare
50-step video, to a converged one, and to the ideal video of the caption. The same command goes on
after an interrupt; what is finished lies in `--work`. The last command finds everything there, and
writes rivals.json and the pictures. With `--goal`, only what the sentences of the goal need is run,
which many more prompts can afford: `--goal --prompts 256 --work runs/goal`; it writes goal.json.
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

from costs import unit_costs
from placed import DEFAULT, Placements
from point_figures import draw, front, row, show
from points import Setting, Shard, header, load_pair, measure, start
from verdict import (
    AT_POSITIONS,
    PLACED,
    RULE,
    STACK,
    STACK_EMULATED,
    SWITCHED,
    UNIFORM,
    judge,
    said,
)

from sraccel.report.build import versions

STEPS = 50
UNIFORM_STEPS = (25, 17, 12, 8, 6, 5, 4)
OTHER_SHIFT = 1.0
"""Noise levels at equal distances: more of them where the layout is decided."""
RESHIFTED = f"fewer steps, shift {OTHER_SHIFT:g}"
RESHIFTED_STEPS = (25, 12, 8, 6, 4)
THRESHOLDS = (0.01, 0.02, 0.03)
SWITCH_STEPS = (4, 6, 8, 10, 12, 15, 20)
BACK_SWITCH_STEP = 10
CACHES = (0.1, 0.2, 0.3, 0.5)
STACKED_CACHES = (0.1, 0.2, 0.3)
PLACED_SWITCHES = ((12, 6), (12, 4), (10, 4), (8, 4), (8, 3))
"""Placed steps, and how many of them the sketch model takes."""
GOAL = (
    "bare",
    *(f"{UNIFORM}: {steps} steps" for steps in (17, 12, 8)),
    *(f"{PLACED}: {steps} steps" for steps in (12, 8, 6)),
    f"{RULE}: threshold 0.01",
    f"{STACK}: threshold 0.1",
    f"{STACK_EMULATED}: threshold 0.1",
    f"{SWITCHED}: 12 steps, switch at 4",
)
"""What the sentences of the goal need: the stacks, and the rivals at their cost."""
PICTURES = {"score": "attributes shown, mean (%)", "iou": "figures' overlap with the ideal (%)"}


def settings(pipes: Mapping[str, Any], placements: Placements, steps: int) -> list[Setting]:
    """Everything that is compared, the bare sketch model first."""
    found = [
        Setting("bare", "bare"),
        placements.converged(),
        Setting("render only", "render only", role="render"),
        *(Setting(UNIFORM, f"{fewer} steps", steps=fewer) for fewer in UNIFORM_STEPS),
        *(
            Setting(RESHIFTED, f"{fewer} steps", steps=fewer, shift=OTHER_SHIFT)
            for fewer in RESHIFTED_STEPS
        ),
        *placements.settings(PLACED),
        *_accelerated(pipes),
        *_placed_and_switched(pipes, placements),
        *_followers(pipes),
    ]
    for point in found:
        if point.steps == STEPS:
            point.steps = steps
    return [point for point in found if _fits(point, steps)]


def _fits(point: Setting, steps: int) -> bool:
    """Whether a grid of so many steps has room for it; the default grid has for all."""
    switches = (item.get("switch_step", 0) for item in point.recipe)
    return point.family == "converged" or (
        point.steps <= steps and all(switch < steps for switch in switches)
    )


def _accelerated(pipes: Mapping[str, Any]) -> list[Setting]:
    switch = _switch(pipes)
    back = {**switch, "render": pipes["transformer"].transformer}
    sage = {"use": "sageattention", "kernel": "emulated"}
    by_rule = {**switch, "threshold": THRESHOLDS[0]}
    return [
        *(Setting(RULE, _threshold(t), [{**switch, "threshold": t}]) for t in THRESHOLDS),
        *(
            Setting("SRDiffusion, fixed", f"switch at {k}", [{**switch, "switch_step": k}])
            for k in SWITCH_STEPS
        ),
        Setting(
            "small, then large",  # the order of T-Stitch (arXiv 2402.14167)
            f"switch at {BACK_SWITCH_STEP}",
            [{**back, "switch_step": BACK_SWITCH_STEP}],
            role="render",
        ),
        *(Setting("TeaCache", _threshold(t), [_teacache(t)]) for t in CACHES),
        *(Setting(STACK, _threshold(t), [by_rule, _teacache(t)]) for t in STACKED_CACHES),
        *(
            Setting(STACK_EMULATED, _threshold(t), [sage, by_rule, _teacache(t)])
            for t in STACKED_CACHES
        ),
    ]


def _placed_and_switched(pipes: Mapping[str, Any], placements: Placements) -> list[Setting]:
    return [
        Setting(
            SWITCHED,
            f"{budget} steps, switch at {switch}",
            [{**_switch(pipes), "switch_step": switch}],
            positions=placements.positions[budget],
        )
        for budget, switch in PLACED_SWITCHES
        if budget in placements.positions
    ]


def _followers(pipes: Mapping[str, Any]) -> list[Setting]:
    """Plain steps where a cache computed; beside the stacks, also with the stack's own switch."""
    return [
        *(
            Setting(f"{AT_POSITIONS} TeaCache", _threshold(t), follows=f"TeaCache: {_threshold(t)}")
            for t in CACHES
        ),
        *(
            Setting(f"{AT_POSITIONS} {STACK}", _threshold(t), follows=f"{STACK}: {_threshold(t)}")
            for t in STACKED_CACHES
        ),
        *(
            Setting(
                f"SRDiffusion at the positions of {STACK}",
                _threshold(t),
                [_switch(pipes)],
                follows=f"{STACK}: {_threshold(t)}",
                switches=True,
            )
            for t in STACKED_CACHES
        ),
    ]


def _switch(pipes: Mapping[str, Any]) -> dict[str, Any]:
    return {"use": "srdiffusion", "render": pipes["render"].transformer}


def _teacache(threshold: float) -> dict[str, Any]:
    return {"use": "teacache", "threshold": threshold}


def _threshold(value: float) -> str:
    return f"threshold {value}"


def options() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--prompts", type=int, default=32)
    parser.add_argument("--goal", action="store_true", help="only what the goal's sentences need")
    parser.add_argument("--batch", type=int, default=4, help="prompts that share decisions (4)")
    parser.add_argument("--steps", type=int, default=STEPS, help="of the grid, as in placements")
    parser.add_argument("--shard", type=Shard.parse, default=Shard(), help="0/2 and 1/2, say")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--placements", type=Path, default=DEFAULT)
    parser.add_argument("--ranking", type=Path, default=DEFAULT.with_name("ranking.json"))
    parser.add_argument("--work", type=Path, default=Path("runs/rivals"))
    parser.add_argument("--out", type=Path, default=Path("runs/rivals"))
    return parser.parse_args()


def publish(points: list[Setting], fixed: Mapping[str, Any], arguments: argparse.Namespace) -> None:
    """Print; write the figures, and of all settings the pictures."""
    units = unit_costs(points)
    rows = [row(point, points[0], units) for point in points]
    show(rows)
    ranking = arguments.ranking
    found = json.loads(ranking.read_text("utf-8")) if ranking.is_file() else None
    verdicts = judge(points, rows, found)
    print(said(verdicts))
    content = {
        "date": datetime.now(UTC).date().isoformat(),
        **fixed,
        "all_versions": dict(versions()),
        "prompts": arguments.prompts,
        "seconds_a_prompt": units,
        "verdict": verdicts,
        "front": {name: [r["name"] for r in front(rows, name)] for name in PICTURES},
        "rows": rows,
    }
    arguments.out.mkdir(parents=True, exist_ok=True)
    path = arguments.out / ("goal.json" if arguments.goal else "rivals.json")
    path.write_text(json.dumps(content, indent=1) + "\n", "utf-8")
    if arguments.goal:
        return
    for name, label in PICTURES.items():
        draw(rows, name, label, arguments.out / f"rivals-{name}.png")


def main() -> None:
    """Measure this shard; where all shards are there, print and publish."""
    arguments = options()
    torch.set_num_threads(arguments.threads)
    pipes = load_pair()
    placements = Placements.load(arguments.placements, pipes["transformer"], arguments.steps)
    points = settings(pipes, placements, arguments.steps)
    if arguments.goal:
        points = [point for point in points if point.name in GOAL]
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
