"""Two pipelines that share the work, measured against the sketch pipeline alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from two_pipelines import Pipes, call, recipe, roles

import sraccel
from sraccel.models.loading import load_demo
from sraccel.reencode.comparison import compare_handoff


def test_a_comparison_measures_both_ways_and_the_hand_off(pipes: Pipes):
    reported, kept = [], []
    comparison = compare_handoff(
        *(*pipes, recipe(switch_step=3)),
        repeats=2,
        progress=lambda *step: reported.append(step),
        keep=lambda way, output, report: kept.append((way, roles(report))),
        **call(6),
    )
    bare = pipes[0](**call(6)).frames
    accelerated = sraccel.handoff(*pipes, recipe(switch_step=3), **call(6)).output.frames
    assert np.array_equal(comparison.bare.frames, bare)
    assert np.array_equal(comparison.accelerated.frames, accelerated)
    assert kept == [
        ("bare", "ssssss"),
        ("accelerated", "sssrrr"),
        ("accelerated", "sssrrr"),
        ("bare", "ssssss"),
    ]
    report = comparison.report
    assert report.speedup.measured is not None
    assert report.quality.keys() >= {"psnr_db", "ssim"}
    assert report.handoff.seconds < report.accelerated.repeats[-1]
    assert ("accelerated 1/2", 3, 6) in reported
    assert ("accelerated 1/2, render pipeline", 3, 3) in reported


def test_trained_models_go_on_with_the_same_video():
    """As near to the large model's own video as the latent hand-off comes, and no other seed's."""
    pipe, render = (load_demo(role) for role in ("transformer", "render"))
    for one in (pipe, render):
        one.set_progress_bar_config(disable=True)
    arguments = {"prompt": "a red circle moving left", "num_inference_steps": 12}

    def seeded(seed: int) -> dict[str, Any]:
        generator = torch.Generator().manual_seed(seed)
        return {**arguments, "generator": generator, "output_type": "np"}

    bare, other = (pipe(**seeded(seed)).frames for seed in (0, 1))
    made = sraccel.handoff(pipe, render, recipe(switch_step=6), **seeded(0)).output.frames
    with sraccel.compose(
        pipe, [{"use": "srdiffusion", "render": render.transformer, "switch_step": 6}]
    ):
        latent = pipe(**seeded(0)).frames
    distance, of_latent, of_other = (
        float(np.square(frames - bare).mean()) for frames in (made, latent, other)
    )
    assert distance < 2 * of_latent
    assert distance < of_other / 4
