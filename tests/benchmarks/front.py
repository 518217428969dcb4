"""Rules, predictors and placed steps at a number of computed steps, against the bare video.

    python tests/benchmarks/front.py --prompts 4

Held-out captions of the demo pair, one seed each. Prints each PSNR and the means; keeps nothing.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import torch

import sraccel
from sraccel.calibration.budgets import BudgetFile
from sraccel.demo.pair import DEMO_WEIGHTS
from sraccel.demo.shapes import held_out_scenes
from sraccel.testing import load_demo_pipeline

STEPS, SEED = 50, 93_000
CLEANEST = 1e-10


def settings() -> dict[str, list[dict[str, Any]]]:
    """Recipes by name; `plain at` takes the steps that the schedule computes, and no others."""
    calibrated = BudgetFile.load(DEMO_WEIGHTS / "schedule.json", "schedule")
    found: dict[str, list[dict[str, Any]]] = {}
    for budget in (12, 16):
        rule = {"use": "schedule", "budget": budget}
        for kind, order in (("reuse", 0), ("taylor", 1), ("hermite", 2)):
            predictor = {"use": "forecast", "kind": kind, "order": order}
            found[f"schedule {budget}, {kind} {order}"] = [rule, predictor]
        positions = calibrated.budget(budget).positions
        found[f"plain at schedule {budget}"] = [{"use": "steps", "positions": positions}]
    found["12 placed"] = [{"use": "steps", "number": 12}]
    found["12 uniform"] = [{"use": "steps", "number": 12, "placement": "uniform"}]
    found["teacache 0.1"] = [{"use": "teacache", "threshold": 0.1}]
    return found


def video(pipe: Any, prompt: str, seed: int) -> torch.Tensor:
    """In [0, 1]."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        frames = pipe(
            prompt=prompt, num_inference_steps=STEPS, generator=generator, output_type="np"
        ).frames
    return torch.from_numpy(frames)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=4)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    pipe = load_demo_pipeline()
    pipe.set_progress_bar_config(disable=True)
    recipes = settings()
    found: dict[str, list[tuple[float, int]]] = {name: [] for name in recipes}
    for index, scene in enumerate(held_out_scenes(arguments.prompts)):
        bare = video(pipe, scene.caption, SEED + index)
        for name, recipe in recipes.items():
            with sraccel.compose(pipe, recipe) as stack:
                error = float((video(pipe, scene.caption, SEED + index) - bare).square().mean())
            computed = sum(not step.calls[0].reused for step in stack.report.steps)
            found[name].append((-10 * np.log10(max(error, CLEANEST)), computed))
            print(f"{index} {name}: {found[name][-1][0]:.1f} dB, {computed} computed", flush=True)
    for name, rows in found.items():
        psnr, computed = np.mean(rows, axis=0)
        print(f"{name:26} {psnr:6.1f} dB  {computed:.1f} computed")


if __name__ == "__main__":
    main()
