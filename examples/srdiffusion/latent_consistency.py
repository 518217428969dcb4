"""What does a hybrid inherit from which model? Hybrid, sketch only and render only, side by side.

Semantics and layout are looked for in the low spatial frequencies of a video, detail in the high
ones. If the hybrid takes its semantics from the sketch model, its low band lies near sketch only's
and far from render only's. Where the layouts of both models differ, their details lie in other
places; so the amount of detail (the high band's contrast) is compared, too.

    python examples/srdiffusion/latent_consistency.py --switch 20
"""

from __future__ import annotations

import argparse
import functools
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
    parser,
    srdiffusion,
    start,
)
from quality import band_errors, contrasts, quartiles

SHARE = 0.4
"""The switch step as a share of all steps, unless it is given."""
COLUMNS = {
    "psnr_db": "PSNR, dB",
    "ssim": "SSIM",
    "lpips": "LPIPS",
    "low_error": "low-band error",
    "high_error": "high-band error",
    "high_contrast": "detail, ratio",
}
LPIPS_WEIGHTS = "alexnet-owt-7be5be79.pth"
"""What torchvision calls its AlexNet, which LPIPS looks through."""
Distance = Callable[[torch.Tensor, torch.Tensor], float]


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, and write results."""
    options = parser(__doc__, "latent-consistency")
    how = options.add_mutually_exclusive_group()
    how.add_argument("--switch", type=int, help="fixed switch (40%% of the steps)")
    how.add_argument("--threshold", type=float, help="adaptive switch instead")
    arguments = options.parse_args(argv)
    hybrid = hybrid_of(arguments)
    experiment = Experiment("latent-consistency", [SKETCH_ONLY, hybrid, RENDER_ONLY], arguments)
    experiment.run()
    lpips, lack = load_lpips()
    pairs = ((hybrid, SKETCH_ONLY), (hybrid, RENDER_ONLY), (RENDER_ONLY, SKETCH_ONLY))
    rows = [compare(experiment, ours, theirs, lpips) for ours, theirs in pairs]
    notes = [*nearer(experiment, hybrid), *scores(experiment)]
    notes += [f"LPIPS: not measured, {lack}"] if lack else []
    show = functools.partial(draw, experiment=experiment)
    experiment.publish(f"Inheritance, {hybrid.label}", rows, COLUMNS, show, notes=notes)
    print("\n".join(notes))


def hybrid_of(arguments: argparse.Namespace) -> Setting:
    """The hybrid that is asked for."""
    if arguments.threshold is not None:
        return srdiffusion(f"threshold {arguments.threshold:g}", threshold=arguments.threshold)
    step = round(arguments.steps * SHARE) if arguments.switch is None else arguments.switch
    return srdiffusion(f"switch at {step}", switch_step=step)


def compare(
    experiment: Experiment, ours: Setting, theirs: Setting, lpips: Distance | None
) -> dict[str, Any]:
    """The figures of one pair of settings."""
    videos = list(zip(experiment.frames(ours.label), experiment.frames(theirs.label), strict=True))
    ratios = [contrasts(one)["high"] / contrasts(other)["high"] for one, other in videos]
    return {
        **experiment.summary(ours, theirs),
        "setting": f"{ours.label} to {theirs.label}",
        "high_contrast": quartiles(ratios),
        "lpips": quartiles([lpips(*pair) for pair in videos]) if lpips else None,
    }


def nearer(experiment: Experiment, hybrid: Setting) -> list[str]:
    """Which model each band of the hybrid is nearer to, in how many prompts.

    Errors are taken against the hybrid's own contrast, so that both are on one scale.
    """
    notes = []
    labels = (hybrid.label, SKETCH_ONLY.label, RENDER_ONLY.label)
    errors = [
        (band_errors(sketched, made), band_errors(rendered, made))
        for made, sketched, rendered in zip(*map(experiment.frames, labels), strict=True)
    ]
    for band, what in (("low", "layout"), ("high", "detail")):
        key = f"{band}_error"
        count = sum(sketch[key] < render[key] for sketch, render in errors)
        notes.append(
            f"{band} band ({what}): nearer to {SKETCH_ONLY.label} in {count} of {len(errors)} "
            f"prompts, to {RENDER_ONLY.label} in {len(errors) - count}"
        )
    return notes


def scores(experiment: Experiment) -> list[str]:
    """The mean semantic scores, where there are any."""
    parts = []
    for setting in experiment.settings:
        values = [entry["score"] for entry in experiment.finished(setting.label)]
        parts += [f"{setting.label} {np.mean(values):.1%}"] if None not in values else []
    return [f"semantic score: {', '.join(parts)}"] if parts else []


def load_lpips() -> tuple[Distance | None, str | None]:
    """LPIPS (AlexNet), mean over frames; or None, and what is missing."""
    try:
        import torchvision  # noqa: F401
    except (ImportError, RuntimeError):  # RuntimeError: a build for another torch
        return None, "it needs a torchvision that fits the installed torch"
    weights = Path(torch.hub.get_dir()) / "checkpoints" / LPIPS_WEIGHTS
    if not weights.is_file():  # torchmetrics would download them without asking
        command = "import torchvision; torchvision.models.alexnet(weights='DEFAULT')"
        return None, f'it needs weights, which python -c "{command}" downloads'
    from torchmetrics.functional.image.lpips import _NoTrainLpips

    net = _NoTrainLpips(net="alex")

    def distance(ours: torch.Tensor, theirs: torch.Tensor) -> float:
        with torch.no_grad():
            return float(net(ours, theirs, normalize=True).mean())

    return distance, None


def draw(rows: list[dict[str, Any]], figure: Any, experiment: Experiment) -> None:
    """Errors of both bands between the three, and the middle frames of the first prompts."""
    left, right = figure.subfigures(1, 2, width_ratios=(1.2, 1))
    axes = left.subplots()
    places = np.arange(len(rows))
    for shift, band in ((-0.2, "low"), (0.2, "high")):
        values = np.array([row[f"{band}_error"] for row in rows])
        arms = np.abs(values[:, 1:] - values[:, :1]).T
        axes.bar(places + shift, values[:, 0], 0.38, yerr=arms, label=f"{band} band")
    axes.set_xticks(places, [row["setting"].replace(" to ", "\nto ") for row in rows], fontsize=8)
    axes.set_ylabel("relative error, median and quartiles")
    axes.legend(fontsize=8, loc="upper left")
    shown = min(3, len(experiment.prompts))
    panels = right.subplots(shown, len(experiment.settings), squeeze=False)
    for column, setting in zip(panels.T, experiment.settings, strict=True):
        column[0].set_title(setting.label, fontsize=8)
        for panel, video in zip(column, experiment.frames(setting.label), strict=False):
            panel.imshow(video[len(video) // 2].movedim(0, -1).numpy())
            panel.set_axis_off()


if __name__ == "__main__":
    start(main)
