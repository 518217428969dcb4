"""A comparison runs both ways with the same noise, measures both, and predicts."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from diffusers import WanPipeline, WanTransformer3DModel
from tiny_models import IDENTITY, call_arguments

import sraccel
from sraccel.comparison.comparison import Comparison
from sraccel.comparison.rival import affordable_steps, placed
from sraccel.comparison.verification import verify
from sraccel.report.headline import figures
from sraccel.testing import load_demo_pipeline


def recipe(render: WanTransformer3DModel) -> list[dict[str, Any]]:
    both = {"transformer": IDENTITY, "render": IDENTITY}
    return [
        {"use": "sageattention", "kernel": "emulated"},
        {"use": "srdiffusion", "render": render, "switch_step": 5},
        {"use": "teacache", "threshold": 1.2, "coefficients": both},
    ]


def pixels(**more: Any) -> dict[str, Any]:
    """Arguments for decoded frames, without a generator of one's own."""
    arguments = call_arguments(**more)
    del arguments["generator"]
    return {**arguments, "output_type": "np"}


def test_everything_that_can_be_measured_is(
    pipe: WanPipeline, render: WanTransformer3DModel
) -> None:
    comparison = sraccel.compare(pipe, recipe(render), repeats=3, **pixels(steps=12))
    report = comparison.report
    assert report.baseline is not None
    assert report.accelerated is not None
    assert len(report.baseline.repeats) == len(report.accelerated.repeats) == 3
    low, high = report.speedup.measured_range or (0, 0)
    assert low <= (report.speedup.measured or 0) <= high
    assert report.speedup.predicted is not None
    assert report.speedup.rest == pytest.approx(
        (report.speedup.measured or 0) / report.speedup.predicted
    )
    sage, switch, cache = report.accelerators
    assert (sage.factor, sage.estimated) == (None, False)
    assert sage.overhead is not None
    assert switch.factor is not None
    assert cache.factor is not None
    assert not any(record.estimated for record in report.accelerators)
    assert all(check.agrees for check in verify(sraccel.Report.from_json(report.to_json())))
    assert (report.speedup.cpu is not None) == report.environment["device"].startswith("cpu")
    assert len(report.accelerated.cpu_repeats) == 3
    assert report.quality is not None
    assert set(report.quality) >= {"psnr_db", "ssim"}
    assert report.call["seed"] == 0
    assert comparison.accelerated.frames.shape == comparison.bare.frames.shape
    assert comparison._repr_html_() == report._repr_html_()
    assert figures(report)[0].value in comparison._repr_html_()


def test_outputs_are_those_of_a_bare_and_an_accelerated_call(
    pipe: WanPipeline, render: WanTransformer3DModel, generate: Any
) -> None:
    bare = generate(pipe, steps=12, seed=3)
    with sraccel.compose(pipe, recipe(render)):
        accelerated = generate(pipe, steps=12, seed=3)
    arguments = call_arguments(steps=12)
    del arguments["generator"]
    comparison = sraccel.compare(pipe, recipe(render), seed=3, **arguments)
    assert torch.equal(comparison.bare.frames, bare)
    assert torch.equal(comparison.accelerated.frames, accelerated)
    assert torch.equal(generate(pipe, steps=12, seed=3), bare), "the pipeline is not as it was"
    assert comparison.report.quality is None  # of latents
    assert any("quality was not measured" in text for text in comparison.report.warnings)


def test_a_generator_of_ones_own_gives_both_the_same_noise(
    pipe: WanPipeline, render: WanTransformer3DModel
) -> None:
    neutral = [{"use": "srdiffusion", "render": render, "switch_step": 99}]
    comparison = sraccel.compare(pipe, neutral, repeats=2, **call_arguments(steps=6, seed=11))
    assert torch.equal(comparison.bare.frames, comparison.accelerated.frames)


def test_a_rival_takes_fewer_steps_at_the_cost_of_the_recipe(pipe: WanPipeline) -> None:
    kept: list[str] = []
    fewer = [{"use": "steps", "number": 2, "placement": "uniform"}]
    comparison = sraccel.compare(
        pipe,
        fewer,
        rival=True,
        keep=lambda way, output, report: kept.append(way),
        **pixels(steps=24),
    )
    report = comparison.report
    assert kept == ["bare", "accelerated", "rival"]
    assert report.rival is not None
    assert report.rival.placement == "uniform", "a tiny model has no calibration beside it"
    assert report.rival.steps == affordable_steps(report)
    assert 1 <= report.rival.steps < 24
    assert report.rival.quality is not None
    assert set(report.rival.quality) >= {"psnr_db", "ssim"}
    assert sraccel.Report.from_json(report.to_json()).rival == report.rival
    assert "Rival: fewer steps" in str(report)
    assert "uniform, uncalibrated" in str(report)


def test_a_calibrated_rival_is_no_cheaper_than_the_recipe_if_it_can_be() -> None:
    stack = sraccel.compose(load_demo_pipeline(), [])
    assert placed(stack, 7) == (8, "calibrated")
    assert placed(stack, 40) == (12, "calibrated"), "more steps are not calibrated"


def test_a_recipe_that_is_no_faster_has_no_rival(pipe: WanPipeline) -> None:
    idle = [{"use": "sageattention", "kernel": "emulated"}]
    report = sraccel.compare(pipe, idle, rival=True, **pixels(steps=2)).report
    if affordable_steps(report) is None:  # else the machine's noise made it seem faster
        assert report.rival is None
        assert any("no rival beside it" in warning for warning in report.warnings)


def test_progress_is_reported_and_the_users_callback_still_called(
    pipe: WanPipeline, render: WanTransformer3DModel
) -> None:
    reported: list[tuple[str, int, int]] = []
    seen: list[int] = []

    def callback(pipe: Any, index: int, timestep: Any, tensors: Any) -> dict[str, Any]:
        seen.append(index)
        return {}

    sraccel.compare(
        pipe,
        recipe(render),
        progress=lambda *args: reported.append(args),
        callback_on_step_end=callback,
        **call_arguments(steps=6),
    )
    assert ("bare", 6, 6) in reported
    assert ("accelerated", 1, 6) in reported
    assert {description for description, *_ in reported} == {
        "warming up",
        "bare",
        "accelerated",
        "probing costs",
    }
    assert len(seen) == len(reported)


def test_an_interrupt_keeps_the_pairs_that_are_finished(
    pipe: WanPipeline, render: WanTransformer3DModel
) -> None:
    kept: list[Comparison] = []

    def interrupt_in_the_third_pair(description: str, done: int, total: int) -> None:
        if description == "bare 3/3" and done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sraccel.compare(
            pipe,
            recipe(render),
            repeats=3,
            warmup=False,
            progress=interrupt_in_the_third_pair,
            broken_off=kept.append,
            **pixels(steps=6),
        )
    (comparison,) = kept
    report = comparison.report
    assert report.accelerated is not None
    assert len(report.accelerated.repeats) == 2
    assert report.speedup.measured is not None
    assert report.quality is not None
    assert "it rests on 2 of 3 pairs" in report.warnings[-1]
    assert all(check.agrees for check in verify(report))


def test_bad_arguments_are_refused_before_anything_runs(pipe: WanPipeline) -> None:
    with pytest.raises(sraccel.LoopError, match="repeats must be 1 or more"):
        sraccel.compare(pipe, [], repeats=0, **call_arguments())
    with pytest.raises(sraccel.RecipeError, match="no accelerator is called"):
        sraccel.compare(pipe, [{"use": "warp"}], **call_arguments())


def test_a_kernel_that_turns_out_unusable_claims_no_factor(pipe: WanPipeline) -> None:
    """What `auto` finds is known only when a denoiser is prepared, after composing."""
    if torch.cuda.is_available():
        pytest.skip("a kernel may be usable here")
    recipe = [{"use": "sageattention", "kernel": "auto"}]
    report = sraccel.compare(pipe, recipe, **call_arguments(steps=4)).report
    assert report.accelerators[0].factor is None
    assert any("sageattention does nothing here" in warning for warning in report.warnings)
