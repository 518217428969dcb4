"""A prediction is within 10 % of what is then measured, at sizes that nothing was calibrated on."""

from __future__ import annotations

import statistics

import pytest

import sraccel
from sraccel.prediction.predict import predict
from sraccel.testing import load_demo_pipeline

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

STEPS = 50
RECIPE = [
    {"use": "srdiffusion", "render": "demo", "switch_step": 10},
    {"use": "teacache", "threshold": 0.08},
]
PROMPT = "a dotted blue triangle moving right below a striped purple circle moving up"


@pytest.mark.parametrize(
    "size",
    [
        {"height": 64, "width": 64, "num_frames": 17},
        {"height": 80, "width": 80, "num_frames": 11},
    ],
    ids=lambda size: "x".join(map(str, size.values())),
)
@pytest.mark.parametrize("recipe", [RECIPE[:1], RECIPE], ids=["srdiffusion", "both"])
def test_a_prediction_is_within_a_tenth_of_what_is_measured(
    size: dict[str, int], recipe: list[dict[str, object]]
) -> None:
    pipe = load_demo_pipeline()
    pipe.set_progress_bar_config(disable=True)
    call = {**size, "num_inference_steps": STEPS}
    said = predict(recipe, "demo", device="cpu", **call)
    run = sraccel.compare(pipe, recipe, prompt=PROMPT, repeats=3, output_type="latent", **call)
    measured = run.report.speedup.measured
    seconds = statistics.median(run.report.accelerated.repeats)
    print(
        f"\n{size}: {said.speedup.value:.2f}x predicted, {measured:.2f}x measured; "
        f"{said.accelerated.value:.2f} s predicted, {seconds:.2f} s measured"
    )
    assert said.speedup.value == pytest.approx(measured, rel=0.1)
