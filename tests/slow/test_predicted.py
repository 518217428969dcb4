"""Predicted costs, at the decisions of a run, are within 10 % of it, at sizes not calibrated on."""

from __future__ import annotations

import statistics

import pytest

import sraccel
from sraccel.prediction.predict import predict
from sraccel.prediction.recorded import of_run
from sraccel.testing import load_demo_pipeline

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

STEPS = 50
RECIPE = [
    {"use": "srdiffusion", "render": "demo", "switch_step": 10},
    {"use": "teacache", "threshold": 0.08},
]
PROMPT = "a dotted blue triangle moving right below a striped purple circle moving up"


@pytest.mark.parametrize(
    ("recipe", "size"),
    [
        (RECIPE, {"height": 48, "width": 48, "num_frames": 11}),
        (RECIPE[:1], {"height": 80, "width": 64, "num_frames": 5}),
    ],
    ids=["both", "srdiffusion"],
)
def test_a_prediction_is_within_a_tenth_of_what_is_measured(
    recipe: list[dict[str, object]], size: dict[str, int]
) -> None:
    pipe = load_demo_pipeline()
    pipe.set_progress_bar_config(disable=True)
    call = {**size, "num_inference_steps": STEPS}
    run = sraccel.compare(pipe, recipe, prompt=PROMPT, repeats=3, output_type="latent", **call)
    done = of_run(run.report, STEPS, "the run")
    said = predict(recipe, "demo", given=done, device="cpu", **call)
    measured = run.report.speedup.measured
    seconds = statistics.median(run.report.accelerated.repeats)
    print(
        f"\n{size}: {said.speedup.value:.2f}x predicted, {measured:.2f}x measured; "
        f"{said.accelerated.value:.2f} s predicted, {seconds:.2f} s measured"
    )
    assert said.speedup.value == pytest.approx(measured, rel=0.1)
