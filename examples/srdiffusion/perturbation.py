"""Noise in some of the steps: what do high-noise steps decide, and what low-noise ones?

The steps are cut into windows of equal length. In one window at a time, noise is added to the
guided prediction, relative to its own root mean square; the rest of the run is as it was. The
video then differs from the unperturbed one of the same seed in its low spatial frequencies (layout)
and in its high ones (detail); "low band's share" is the low ones' part of the squared error.

With a shifted schedule a step at low noise covers more of the way than one at high noise, so the
same relative noise weighs more there, and no later step takes it out again.

    python examples/srdiffusion/perturbation.py --windows 5 --amount 2
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from experiment import SKETCH_ONLY, Experiment, Setting, parser, start
from pydantic import Field

from sraccel.plugin import Accelerator, AcceleratorOptions, Step, hookimpl

COLUMNS = {
    "low_error": "low-band error",
    "high_error": "high-band error",
    "low_share": "low band's share",
    "psnr_db": "PSNR, dB",
    "score": "score, %",
    "score_difference": "difference, points",
}


class Perturbation(Accelerator):
    """Adds the same noise to the guided prediction of each step of a window."""

    name = "perturbation"
    claims_speed = False

    class Options(AcceleratorOptions):
        """Options of the perturbation."""

        start: int = Field(ge=0, description="First perturbed step.")
        stop: int = Field(ge=0, description="First step that is not perturbed any more.")
        amount: float = Field(gt=0, description="Noise over signal, as root mean squares.")
        seed: int = Field(0, description="Of the noise.")

    options: Options

    @hookimpl
    def step_finished(self, step: Step) -> None:
        options = self.options
        if not options.start <= step.index < options.stop or step.noise_pred is None:
            return
        # Not the latents between two steps: a multistep scheduler's corrector starts from those
        # that it remembers, and would take most of the noise out again.
        signal = step.noise_pred
        generator = torch.Generator().manual_seed(options.seed)
        noise = torch.randn(signal.shape, generator=generator).to(signal)
        signal += options.amount * signal.square().mean().sqrt() * noise


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, and write results."""
    options = parser(__doc__, "perturbation")
    options.add_argument("--windows", type=int, default=5, help="how many (5)")
    options.add_argument("--amount", type=float, default=2.0, help="noise over signal (2)")
    arguments = options.parse_args(argv)
    borders = np.linspace(0, arguments.steps, arguments.windows + 1).round().astype(int)
    windows = [
        perturbed(start, stop, arguments.amount)
        for start, stop in pairwise(dict.fromkeys(borders.tolist()))
    ]
    experiment = Experiment("perturbation", [SKETCH_ONLY, *windows], arguments)
    experiment.run()
    rows = [experiment.summary(setting) for setting in windows]
    title = f"Noise of {arguments.amount:g} in some steps"
    experiment.publish(title, rows, COLUMNS, draw)


def perturbed(start: int, stop: int, amount: float) -> Setting:
    """The sketch model alone, with noise in steps `start` to `stop - 1`."""
    options = Perturbation.Options(start=start, stop=stop, amount=amount)
    return Setting(f"steps {start} to {stop - 1}", (options,))


def draw(rows: list[dict[str, Any]], figure: Any) -> None:
    """Errors of both bands, and the score's loss, over the perturbed window."""
    scored = rows[0]["score"] is not None
    panels = figure.subplots(1, 2 if scored else 1, squeeze=False)[0]
    places = np.arange(len(rows))
    for shift, band in ((-0.2, "low"), (0.2, "high")):
        values = np.array([row[f"{band}_error"] for row in rows])
        arms = np.abs(values[:, 1:] - values[:, :1]).T
        panels[0].bar(places + shift, values[:, 0], 0.38, yerr=arms, label=f"{band} band")
    panels[0].set_ylabel("relative error to the unperturbed video")
    panels[0].legend(fontsize=8, loc="upper center")
    if scored:
        values = np.array([row["score_difference"] for row in rows]) * 100
        arms = np.abs(values[:, 1:] - values[:, :1]).T
        panels[1].bar(places, values[:, 0], 0.6, yerr=arms, color="C2")
        panels[1].set_ylabel("score to the unperturbed video (points)")
        panels[1].axhline(0, color="0.5", linewidth=0.8)
    for axes in panels:
        axes.set_xticks(places, [row["setting"].removeprefix("steps ") for row in rows], fontsize=8)
        axes.set_xlabel("perturbed steps (high noise first)")


if __name__ == "__main__":
    start(main)
