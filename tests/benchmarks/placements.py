"""Where to take few steps of the grid: calibrated on training prompts, for each number of steps.

    python tests/benchmarks/placements.py --out docs/assets/benchmarks/placements.json

1. A converged reference: of grids of doubling length, at the pair's own shift and at shift 1, the
   cheapest whose videos all agree with the finest grid's to 45 dB.
2. The shortest path (GITS, arXiv 2405.11326): a bare run of each prompt is recorded; the error of
   one Euler step between any two of its points is the length of an edge.
3. A descent on real runs: one position at a time goes where the videos come nearest to the
   reference, from the path, from the uniform placement, and from the next larger number of steps
   without one of them.

Prompts and noise are none of the held-out ones. A file that is there keeps its other shifts.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console

sys.path.insert(0, str(Path(__file__).parent))

from placed import DEFAULT
from points import checksums, package_versions, start

# isort: split
from descent import Positions, descend
from placed_steps import placed_steps

import sraccel
from sraccel.calibration.path import edges_of, shortest_path, step_costs
from sraccel.calibration.trajectory import Recorder
from sraccel.demo.shapes import training_scenes
from sraccel.files import replacing
from sraccel.testing import load_demo_pipeline

SCENE_SEED = 91
"""Of the training scenes and, times 1000, of their noise."""
MOVES = (-3, -1, 1, 3)
AGREEMENT_DB = 45.0
CLEANEST = 1e-10

Log = Callable[[str], None]
log: Log = lambda text: Console(stderr=True).print(text, highlight=False)  # noqa: E731


class Calibration:
    """Prompts and noise, run on any grid of noise levels."""

    def __init__(self, pipe: Any, prompts: int) -> None:
        self.pipe = pipe
        self.prompts = [scene.caption for scene in training_scenes(prompts, SCENE_SEED)]
        self.seeds = [SCENE_SEED * 1000 + index for index in range(prompts)]

    def videos(
        self, steps: int, shift: float, positions: Positions | None = None, prompts: int = 0
    ) -> torch.Tensor:
        """Of shape (prompts, frames, height, width, 3), in [0, 1]; of the first prompts only."""
        chosen = slice(prompts or None)
        with placed_steps(self.pipe, positions, flow_shift=shift), torch.no_grad():
            frames = self.pipe(
                prompt=self.prompts[chosen],
                num_inference_steps=steps,
                generator=[torch.Generator().manual_seed(seed) for seed in self.seeds[chosen]],
                output_type="np",
            ).frames
        return torch.from_numpy(frames)

    def costs(self, steps: int, shift: float) -> np.ndarray:
        """Edges between the points of the bare run, the mean over prompts."""
        found, recorder = [], Recorder()
        for prompt, seed in zip(self.prompts, self.seeds, strict=True):
            with placed_steps(self.pipe, flow_shift=shift), torch.no_grad():
                with sraccel.compose(self.pipe, [recorder]):
                    self.pipe(
                        prompt=prompt,
                        num_inference_steps=steps,
                        generator=torch.Generator().manual_seed(seed),
                        output_type="latent",
                    )
            found.append(step_costs(recorder.trajectory(prompt, seed)))
        return np.mean(found, axis=0)


def psnr_db(ours: torch.Tensor, theirs: torch.Tensor) -> torch.Tensor:
    """One a prompt."""
    error = (ours - theirs).square().mean((1, 2, 3, 4)).clamp(min=CLEANEST)
    return -10 * error.log10()


def reference(calibration: Calibration, steps: int, prompts: int, doublings: int) -> dict[str, Any]:
    """The cheapest grid that agrees with the finest, or the last one tried if none does.

    The finest one has the pair's own shift; where another grid agrees with it, both have converged
    to the same video, since a shift only places the steps.
    """
    own = calibration.pipe.scheduler.config.flow_shift
    finest = steps * 2**doublings
    best = calibration.videos(finest, own, prompts=prompts)
    tried: list[dict[str, Any]] = []
    for length in (steps * 2**power for power in range(doublings)):
        for shift in dict.fromkeys((own, 1.0)):
            near = psnr_db(calibration.videos(length, shift, prompts=prompts), best).tolist()
            tried.append({"steps": length, "shift": shift, "psnr_db": near})
            each = ", ".join(f"{value:.1f}" for value in near)
            log(f"{length} steps at shift {shift:g}: {each} dB to {finest} at {own:g}")
            if min(near) >= AGREEMENT_DB:
                return {**tried[-1], "converged": True, "finest": finest, "tried": tried}
    return {**tried[-1], "converged": False, "finest": finest, "tried": list(tried)}


def place(
    calibration: Calibration,
    shift: float,
    wanted: torch.Tensor,
    arguments: argparse.Namespace,
) -> dict[str, Any]:
    """Positions for every number of steps, at one shift."""
    steps, costs = arguments.steps, calibration.costs(arguments.steps, shift)

    @cache
    def quality(positions: Positions) -> float:
        return float(psnr_db(calibration.videos(steps, shift, positions), wanted).mean())

    budgets: dict[str, Any] = {}
    larger: Positions = ()
    for budget in sorted(arguments.budgets, reverse=True):
        path = tuple(shortest_path(edges_of(costs), budget))
        uniform = tuple(round(k * steps / budget) for k in range(budget))
        starts = [path, uniform, *_without_one(larger, budget)]
        first = max(starts, key=quality)
        larger = descend(first, steps, quality, MOVES, arguments.sweeps)
        budgets[str(budget)] = {
            "positions": larger,
            "psnr_db": quality(larger),
            "path": {"positions": path, "psnr_db": quality(path)},
            "uniform": {"positions": uniform, "psnr_db": quality(uniform)},
        }
        log(f"shift {shift:g}, {budget} steps: {larger}, {quality(larger):.1f} dB")
    return {"bare_psnr_db": quality(tuple(range(steps))), "budgets": budgets}


def _without_one(positions: Positions, budget: int) -> list[Positions]:
    """All but one of the positions, where that leaves as many as are wanted."""
    if len(positions) != budget + 1:
        return []
    return [(*positions[:i], *positions[i + 1 :]) for i in range(1, len(positions))]


def options() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=50, help="of the grid")
    parser.add_argument("--budgets", type=int, nargs="+", default=[12, 10, 8, 6, 5, 4])
    parser.add_argument("--shifts", type=float, nargs="+", help="the pair's own, if not given")
    parser.add_argument("--prompts", type=int, default=6)
    parser.add_argument("--sweeps", type=int, default=2, help="of the descent; 0: none")
    parser.add_argument("--doublings", type=int, default=4, help="of the grid, to the finest one")
    parser.add_argument("--reference-prompts", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=DEFAULT)
    return parser.parse_args()


def kept(path: Path, header: dict[str, Any]) -> dict[str, Any]:
    """What an earlier call found for the same weights, grid and prompts."""
    if not path.is_file():
        return {}
    content: dict[str, Any] = json.loads(path.read_text("utf-8"))
    same = all(content.get(key) == header[key] for key in ("weights", "steps", "prompts"))
    return content if same else {}


def main() -> None:
    """Calibrate, and write the file."""
    arguments = options()
    torch.set_num_threads(arguments.threads)
    pipe = load_demo_pipeline()
    pipe.set_progress_bar_config(disable=True)
    calibration = Calibration(pipe, arguments.prompts)
    content: dict[str, Any] = {
        "comment": "made by tests/benchmarks/placements.py",
        "date": datetime.now(UTC).date().isoformat(),
        "weights": checksums({"transformer": pipe.transformer})["transformer"],
        "versions": package_versions(),
        "steps": arguments.steps,
        "prompts": calibration.prompts,
        "seeds": calibration.seeds,
    }
    earlier = kept(arguments.out, content)
    content["reference"] = earlier.get("reference") or reference(
        calibration, arguments.steps, arguments.reference_prompts, arguments.doublings
    )
    grid = content["reference"]
    wanted = calibration.videos(grid["steps"], grid["shift"])
    content["shifts"] = earlier.get("shifts", {})
    for shift in arguments.shifts or [pipe.scheduler.config.flow_shift]:
        found = {"sweeps": arguments.sweeps, **place(calibration, shift, wanted, arguments)}
        content["shifts"][f"{shift:g}"] = found
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        with replacing(arguments.out) as path:
            path.write_text(json.dumps(content, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    start(main)
