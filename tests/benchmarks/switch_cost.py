"""What the switch itself costs where both models stay: the first render step beside the others.

python tests/benchmarks/switch_cost.py
"""

from __future__ import annotations

import argparse
import statistics

import torch

import sraccel
from sraccel.testing import load_demo_pipeline

PROMPT = "a red circle moving left above a blue square moving right"
STEPS, SWITCH_STEP = 20, 10


def main() -> None:
    """Print the extra seconds of the first render step, in render steps of the same run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20)
    arguments = parser.parse_args()
    pipe = load_demo_pipeline()
    pipe.set_progress_bar_config(disable=True)
    recipe = [{"use": "srdiffusion", "render": "demo", "switch_step": SWITCH_STEP}]
    extras = []
    with sraccel.compose(pipe, recipe) as stack:
        for _ in range(arguments.runs + 2):
            pipe(
                prompt=PROMPT,
                num_inference_steps=STEPS,
                generator=torch.Generator().manual_seed(0),
                output_type="latent",
            )
            steps = [step.seconds or 0.0 for step in stack.report.steps]
            usual = statistics.median(steps[SWITCH_STEP + 1 :])
            extras.append((steps[SWITCH_STEP] - usual) / usual)
    low, middle, high = statistics.quantiles(extras[2:], n=4)  # the first two warm up
    print(f"switch: {middle:.2f} render steps (quartiles {low:.2f} to {high:.2f})")


if __name__ == "__main__":
    main()
