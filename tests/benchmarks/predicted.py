"""What `sraccel predict` says of the demo pair at sizes it was not calibrated on, and what is so.

    python tests/benchmarks/predicted.py --sizes 64x64x17 80x80x11 96x64x17

A size is height x width x frames, as the pipeline is called. Each is predicted with random weights,
then run bare and accelerated with the trained pair, in short pairs of runs. Prints both speedups,
both seconds, and their ratios; the goal is 10 %.
"""

from __future__ import annotations

import argparse
import logging
import statistics

import sraccel
from sraccel.models.loading import load_demo
from sraccel.prediction.decisions import Given
from sraccel.prediction.predict import predict

PROMPTS = (
    "a dotted blue triangle moving right below a striped purple circle moving up",
    "a red square moving left above a green circle moving down",
)
RECIPES = {
    "srdiffusion": [{"use": "srdiffusion", "render": "demo", "switch_step": 10}],
    "teacache": [{"use": "teacache", "threshold": 0.08}],
    "both": [
        {"use": "srdiffusion", "render": "demo", "switch_step": 10},
        {"use": "teacache", "threshold": 0.08},
    ],
}


def main() -> None:
    options = arguments()
    pipe = load_demo()
    pipe.set_progress_bar_config(disable=True)
    logging.getLogger("sraccel").setLevel(logging.ERROR)
    columns = ("speedup predicted", "measured", "ratio", "seconds predicted", "measured", "ratio")
    print("|", " | ".join(("size", "recipe", *columns)), "|")
    print("|---" * 8 + "|")
    for size in options.sizes:
        height, width, frames = map(int, size.split("x"))
        call = {"height": height, "width": width, "num_frames": frames}
        for name in options.recipes:
            print(row(pipe, size, name, call, options), flush=True)


def row(
    pipe: object, size: str, name: str, call: dict[str, int], options: argparse.Namespace
) -> str:
    """One line of the table."""
    steps = {"num_inference_steps": options.steps}
    said = predict(
        RECIPES[name], "demo", given=Given(), device="cpu", rounds=options.rounds, **call, **steps
    )
    runs = [
        sraccel.compare(
            pipe, RECIPES[name], prompt=prompt, repeats=options.repeats, output_type="latent",
            **call, **steps,
        ).report
        for prompt in PROMPTS[: options.prompts]
    ]  # fmt: skip
    speedup = statistics.median(run.speedup.measured for run in runs)
    seconds = statistics.median(run.accelerated.seconds for run in runs)
    return (
        f"| {size} | {name} | {said.speedup.value:.2f}x | {speedup:.2f}x "
        f"| {said.speedup.value / speedup:.2f} | {said.accelerated.value:.2f} s | {seconds:.2f} s "
        f"| {said.accelerated.value / seconds:.2f} |"
    )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", nargs="+", default=["64x64x17", "80x80x11"])
    parser.add_argument("--recipes", nargs="+", default=list(RECIPES), choices=RECIPES)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--prompts", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
