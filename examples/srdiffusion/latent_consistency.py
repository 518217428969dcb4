"""What does a hybrid inherit from which model? Hybrid, sketch only and render only, side by side.

Semantics and layout are looked for in the low spatial frequencies of a video, detail in the high
ones. If the hybrid takes its semantics from the sketch model, its low band lies near sketch only's
and far from render only's. Where the layouts of both models differ, their details lie in other
places; so the amount of detail (the high band's contrast) is compared, too.

    python examples/srdiffusion/latent_consistency.py --switch 20
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from experiment import (
    RENDER_ONLY,
    SKETCH_ONLY,
    Experiment,
    Setting,
    contrasts,
    parser,
    quartiles,
    srdiffusion,
    start,
)

COLUMNS = {
    "psnr_db": "PSNR, dB",
    "ssim": "SSIM",
    "lpips": "LPIPS",
    "low_error": "low-band error",
    "high_error": "high-band error",
    "high_contrast": "high band's contrast, ratio",
}
LPIPS_WEIGHTS = "alexnet-owt-7be5be79.pth"
"""The file that torchvision keeps its AlexNet in, which LPIPS is computed with."""


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, and write results."""
    options = parser(__doc__, "latent-consistency")
    how = options.add_mutually_exclusive_group()
    how.add_argument("--switch", type=int, help="fixed switch (40%% of the steps)")
    how.add_argument("--threshold", type=float, help="adaptive switch instead")
    arguments = options.parse_args(argv)
    hybrid = srdiffusion("hybrid", **switching(arguments))
    experiment = Experiment("latent-consistency", [SKETCH_ONLY, hybrid, RENDER_ONLY], arguments)
    experiment.run()
    lpips, lack = load_lpips()
    pairs = ((hybrid, SKETCH_ONLY), (hybrid, RENDER_ONLY), (RENDER_ONLY, SKETCH_ONLY))
    rows = [row(experiment, ours, theirs, lpips) for ours, theirs in pairs]
    show = lambda rows, figure: draw(rows, figure, experiment)  # noqa: E731
    scores = {each.label: mean_score(experiment, each) for each in experiment.settings}
    title = f"Hybrid ({', '.join(f'{k} {v:g}' for k, v in switching(arguments).items())})"
    experiment.publish(title, rows, COLUMNS, show, lpips_lack=lack, scores=scores, verdict=nearer(rows))
    print("\n".join(filter(None, [*nearer(rows), lack and f"LPIPS: not measured, {lack}"])))
    if experiment.demo:
        print("score: " + ", ".join(f"{name} {value:.1%}" for name, value in scores.items()))
