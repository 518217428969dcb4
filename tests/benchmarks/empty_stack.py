"""What an empty stack costs on the demo pair: the bare pipeline beside one that is watched.

python tests/benchmarks/empty_stack.py
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from typing import Any

import torch

import sraccel
from sraccel.testing import load_demo_pipeline

PROMPT = "a red circle moving left above a blue square moving right"


def seconds(pipe: Any, steps: int) -> float:
    """The whole call, up to the latents."""
    started = time.perf_counter()
    pipe(
        prompt=PROMPT,
        num_inference_steps=steps,
        generator=torch.Generator().manual_seed(0),
        output_type="latent",
    )
    return time.perf_counter() - started


def main() -> None:
    """Print the ratio of paired runs, with its quartiles."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--steps", type=int, default=50)
    arguments = parser.parse_args()
    pipe = load_demo_pipeline()
    pipe.set_progress_bar_config(disable=True)
    ratios = []
    order = random.Random(0)
    for _ in range(arguments.pairs + 2):
        times = {}
        for way in order.sample(["bare", "empty stack"], 2):
            if way == "bare":
                times[way] = seconds(pipe, arguments.steps)
            else:
                with sraccel.compose(pipe, []):
                    times[way] = seconds(pipe, arguments.steps)
        ratios.append(times["empty stack"] / times["bare"])
    low, middle, high = statistics.quantiles(ratios[2:], n=4)  # the first two warm up
    print(f"empty stack / bare: median {middle:.4f}, quartiles {low:.4f} to {high:.4f}")


if __name__ == "__main__":
    main()
