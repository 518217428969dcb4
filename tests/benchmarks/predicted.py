"""What `sraccel predict` says of the demo pair at sizes it was not calibrated on, and what is so.

    python tests/benchmarks/predicted.py --sizes 48x48x11 80x64x5

A size is height x width x frames, as the pipeline is called. The trained pair is run there, bare
and accelerated, in short pairs of runs. Prints the speedup that is predicted before, the one that
is predicted when the run's own decisions (switch, skipped shares) are given, and the measured one,
then the seconds of the latter two, and the shares. The goal is 10 % of what is measured.
"""

from __future__ import annotations

import argparse
import logging
import statistics
from collections.abc import Mapping

import sraccel
from sraccel.models.loading import load_demo
from sraccel.prediction.predict import predict
from sraccel.prediction.recorded import of_run

PROMPT = "a dotted blue triangle moving right below a striped purple circle moving up"
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
    columns = ("predicted", "with its decisions", "measured", "ratio", "seconds", "measured")
    print("|", " | ".join(("size", "recipe", *columns, "ratio", "skipped, said and done")), "|")
    print("|---" * 10 + "|")
    for size in options.sizes:
        height, width, frames = map(int, size.split("x"))
        call = {"height": height, "width": width, "num_frames": frames}
        for name in options.recipes:
            print(row(pipe, size, name, call, options), flush=True)


def row(
    pipe: object, size: str, name: str, call: dict[str, int], options: argparse.Namespace
) -> str:
    """One line of the table."""
    call = {**call, "num_inference_steps": options.steps}
    said = predict(RECIPES[name], "demo", device="cpu", rounds=options.rounds, **call)
    run = sraccel.compare(
        pipe,
        RECIPES[name],
        prompt=PROMPT,
        repeats=options.repeats,
        output_type="latent",
        **call,
    ).report
    done = of_run(run, options.steps, "the run")
    told = predict(RECIPES[name], "demo", given=done, device="cpu", rounds=options.rounds, **call)
    speedup, seconds = run.speedup.measured, statistics.median(run.accelerated.repeats)
    return (
        f"| {size} | {name} | {said.speedup.value:.2f}x | {told.speedup.value:.2f}x "
        f"| {speedup:.2f}x | {told.speedup.value / speedup:.2f} "
        f"| {told.accelerated.value:.2f} | {seconds:.2f} "
        f"| {told.accelerated.value / seconds:.2f} "
        f"| {shares(said.skipped)}; {shares(done.skipped)} |"
    )


def shares(skipped: Mapping[str, float]) -> str:
    """`0.74 and 0.65`, or a dash."""
    return " and ".join(f"{share:.2f}" for share in skipped.values() if share) or "-"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", nargs="+", default=["48x48x11", "80x64x5"])
    parser.add_argument("--recipes", nargs="+", default=list(RECIPES), choices=RECIPES)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=2)
    return parser.parse_args()


if __name__ == "__main__":
    main()
