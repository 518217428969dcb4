"""What a report says of a run: everything that was done, nothing that was not measured."""

from __future__ import annotations

import json
import math
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

import sraccel
from sraccel.report.model import Report, Speedup, StepRecord, Timing

if TYPE_CHECKING:
    from diffusers import WanPipeline, WanTransformer3DModel


@pytest.fixture
def stack(
    tiny_models: Any, pipe: WanPipeline, render: WanTransformer3DModel, generate: Any
) -> sraccel.Stack:
    """A stack after one run of twelve steps, switched at the fifth."""
    recipe = [
        {"use": "srdiffusion", "render": render, "switch_step": 5},
        {
            "use": "teacache",
            "threshold": 1.2,
            "coefficients": dict.fromkeys(("transformer", "render"), tiny_models.IDENTITY),
        },
    ]
    with sraccel.compose(pipe, recipe) as stack:
        generate(pipe, steps=12)
    return stack


def test_a_run_alone_claims_no_speed_and_no_quality_and_its_report_survives_json(
    stack: sraccel.Stack,
) -> None:
    report = stack.report
    assert sraccel.Report.from_json(report.to_json()) == report
    assert report.baseline is None
    assert report.quality is None
    assert report.speedup == type(report.speedup)()
    assert all(record.factor is None for record in report.accelerators)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_report_is_read_back_whatever_was_not_finite(value: float) -> None:
    report = Report(
        outcome="finished",
        num_inference_steps=1,
        quality={"psnr_db": value, "ssim": 1.0},
        speedup=Speedup(measured=value, measured_range=(value, 2.0)),
        baseline=Timing(seconds=value, call_seconds=value, repeats=[value]),
        steps=[StepRecord(index=0, denoiser="transformer", sigma=value, seconds=value)],
    )
    text = report.to_json()
    assert json.loads(text)["quality"] == {"psnr_db": None, "ssim": 1.0}
    again = Report.from_json(text)
    assert math.isnan(again.quality["psnr_db"])
    assert math.isnan(again.speedup.measured_range[0])
    assert again.to_json() == text


def test_a_number_that_must_be_there_is_not_none() -> None:
    with pytest.raises(ValidationError):
        Timing(seconds=None)


def test_who_decided_what_is_recorded(stack: sraccel.Stack) -> None:
    report = stack.report
    for step in report.steps:
        for call in step.calls:
            assert call.requested == "transformer"
            assert call.chosen_by == ("srdiffusion" if step.index >= 5 else None)
            assert call.reused_by == ("teacache" if call.reused else None)
            assert call.seconds is not None
            assert 0 < call.seconds < 10
    chosen, reused = (report.accelerators[0].chosen_calls, report.accelerators[1].reused_calls)
    assert chosen == 14
    assert reused == sum(call.reused for step in report.steps for call in step.calls) > 0


def test_step_seconds_add_up_to_the_loop(stack: sraccel.Stack) -> None:
    report = stack.report
    assert report.accelerated is not None
    seconds = [step.seconds for step in report.steps if step.seconds is not None]
    assert sum(seconds) == pytest.approx(report.accelerated.seconds)


def test_models_versions_and_environment_are_named(stack: sraccel.Stack) -> None:
    report = stack.report
    assert set(report.model) == {"transformer", "render"}
    assert report.model["transformer"]["class"] == "WanTransformer3DModel"
    assert report.versions["torch"] == version("torch")
    assert {"sraccel", "diffusers", "python"} <= set(report.versions)
    assert report.environment["device"].startswith("cpu")
    assert report.peak_memory_bytes is not None
    assert report.peak_memory_bytes > 1 << 20
