"""What `sraccel predict` says of the demo pair at sizes it was not calibrated on, and what is so.

    python tests/benchmarks/predicted.py --sizes 48x48x11 80x64x5

A size is height x width x frames, as the pipeline is called. By turns, a recipe is predicted there
and then run with the trained pair, bare and accelerated: what slows the machine down meanwhile
slows both. Prints the medians of these turns, and the range of predicted over measured; the goal
is 0.9 to 1.1. `--clock cpu` takes the process's CPU seconds in the place of the clock's: on one
thread (OMP_NUM_THREADS=1), that is what the machine would take if nothing else ran on it.
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Iterable, Mapping
from statistics import median
from typing import Any

import torch

import sraccel
from sraccel.loop.clock import CpuClock
from sraccel.models.loading import load_demo
from sraccel.prediction.predict import predict
from sraccel.prediction.prediction import Prediction
from sraccel.prediction.replay import skipped_shares
from sraccel.report.model import Report

Recipe = list[dict[str, Any]]
Turn = tuple[Prediction, Report, Report]
"""What was predicted, the bare run, the accelerated one."""
PROMPT = "a dotted blue triangle moving right below a striped purple circle moving up"
SWITCH = {"use": "srdiffusion", "render": "demo", "switch_step": 10}
CACHE = {"use": "teacache", "threshold": 0.08}
RECIPES = {
    "srdiffusion": [SWITCH],
    "teacache": [CACHE],
    "both": [SWITCH, CACHE],
    "adaptive switch, teacache": [{"use": "srdiffusion", "render": "demo"}, CACHE],
}
COLUMNS = (
    *("size", "recipe", "speedup predicted", "measured", "ratio", "seconds predicted", "measured"),
    *("ratio", "decisions predicted", "made"),
)


def main() -> None:
    options = arguments()
    if options.clock == "cpu":
        CpuClock.mark = lambda self: time.process_time()  # type: ignore[method-assign]
    pipe = load_demo()
    pipe.set_progress_bar_config(disable=True)
    run(pipe, [], {"num_inference_steps": 3})
    logging.getLogger("sraccel").setLevel(logging.ERROR)
    print("|", " | ".join(COLUMNS), "|")
    print("|---" * len(COLUMNS) + "|")
    for size in options.sizes:
        height, width, frames = map(int, size.split("x"))
        call = {"height": height, "width": width, "num_frames": frames}
        for name in options.recipes:
            turns = [
                turn(pipe, RECIPES[name], {**call, "num_inference_steps": options.steps}, options)
                for _ in range(options.turns)
            ]
            print(f"| {size} | {name} | {' | '.join(row(turns))} |", flush=True)


def turn(pipe: Any, recipe: Recipe, call: dict[str, int], options: argparse.Namespace) -> Turn:
    """What is predicted, and what is then so."""
    said = predict(
        recipe, "demo", few_blocks=options.few_blocks, device="cpu", rounds=options.rounds, **call
    )
    return said, run(pipe, [], call), run(pipe, recipe, call)


def run(pipe: Any, recipe: Recipe, call: dict[str, int]) -> Report:
    """The report of a run."""
    noise = torch.Generator().manual_seed(0)
    with sraccel.compose(pipe, recipe) as stack:
        pipe(PROMPT, generator=noise, output_type="latent", **call)
    return stack.report


def row(turns: list[Turn]) -> Iterable[str]:
    """The figures of a recipe at a size."""
    seconds = [(said.accelerated.value, done.accelerated.seconds) for said, _, done in turns]
    speedups = [
        (said.speedup.value, bare.accelerated.seconds / done.accelerated.seconds)
        for said, bare, done in turns
    ]
    for pairs, form in ((speedups, "{:.2f}x"), (seconds, "{:.2f}")):
        yield from (form.format(median(values)) for values in zip(*pairs, strict=True))
        ratios = [one / other for one, other in pairs]
        yield f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
    said, _, done = turns[0]
    yield decisions(said.switch_step, said.skipped)
    yield decisions(done.switch_step, skipped_shares(done))


def decisions(switch: int | None, skipped: Mapping[str, float]) -> str:
    """`switch at 10, 0.74 and 0.65 skipped`."""
    shares = " and ".join(f"{share:.2f}" for share in skipped.values() if share)
    parts = [f"switch at {switch}"] if switch is not None else []
    return ", ".join([*parts, *([f"{shares} skipped"] if shares else [])])


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", nargs="+", default=["48x48x11", "80x64x5", "96x96x8"])
    parser.add_argument("--recipes", nargs="+", default=list(RECIPES), choices=RECIPES)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=3, help="of the measurement, each turn")
    parser.add_argument("--few-blocks", action="store_true", help="measured, and counted up")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    return parser.parse_args()


if __name__ == "__main__":
    main()
