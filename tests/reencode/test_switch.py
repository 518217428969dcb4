"""When the sketch pipeline hands over, and what acts on either side of the switch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from srdiffusion_report import switch_rule
from tiny_models import IDENTITY, tiny_transformer
from two_pipelines import Pipes, call, recipe, roles

import sraccel


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"switch_step": 5}, "sssssrrr"),
        ({"switch_sigma": 0.76}, "ssssrrrr"),
        ({"threshold": 1e-9, "max_step": 1}, "ssrrrrrr"),
        ({"threshold": 100.0, "min_step": 4}, "sssssrrr"),
        ({"threshold": 0.1, "min_step": 1, "max_step": 6}, "sssssrrr"),
    ],
    ids=str,
)
def test_it_switches_as_the_latent_hand_off_does(
    pipes: Pipes, options: dict[str, Any], expected: str
):
    made = sraccel.handoff(*pipes, recipe(**options), **call())
    latent = [{"use": "srdiffusion", "render": tiny_transformer(7, layers=1), **options}]
    with sraccel.compose(pipes[0], latent) as stack:
        pipes[0](**call())
    assert roles(made.report) == roles(stack.report) == expected
    assert switch_rule(made.report) == switch_rule(stack.report)
    sketched = expected.count("s")
    ours, theirs = made.report.steps[:sketched], stack.report.steps[:sketched]
    assert [step.measured for step in ours] == [step.measured for step in theirs]


@pytest.mark.parametrize("output_type", ["np", "pt", "pil", "latent"])
def test_without_a_switch_the_sketch_is_the_bare_pipeline_s_output_bit_for_bit(
    pipes: Pipes, output_type: str
):
    bare = pipes[0](**call(3, output_type=output_type)).frames
    made = sraccel.handoff(*pipes, recipe(switch_step=5), **call(3, output_type=output_type))
    assert np.array_equal(np.asarray(made.output.frames), np.asarray(bare))
    assert type(made.output.frames) is type(bare)
    assert roles(made.report) == "sss"
    assert made.render_report is None
    assert made.report.handoff is None
    assert any("the render pipeline was not called" in text for text in made.report.warnings)


@pytest.mark.parametrize(("start", "sketched"), [("always", True), ("after_switch", False)])
def test_other_accelerators_act_in_both_calls_with_their_model_s_coefficients(
    pipes: Pipes, start: str, sketched: bool
):
    cache = {
        "use": "teacache",
        "threshold": 100.0,
        "start": start,
        "coefficients": {"transformer": IDENTITY, "render": [0.0, 0.0, 0.0, 2.0, 0.0]},
    }
    made = sraccel.handoff(*pipes, recipe(cache, switch_step=4), **call(12))
    reused = [all(item.reused for item in step.calls) for step in made.report.steps]
    # The first step of each model and the very last are computed.
    assert reused == [False, *([sketched] * 3), False, *([True] * 6), False]
    record = made.report.accelerators[1]
    assert record.reused_calls == sum(reused) * 2
    assert {"coefficients_render"} <= record.notes.keys()


def test_the_user_s_callback_is_called_by_both(pipes: Pipes):
    seen = []

    def callback(pipe: Any, step: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        seen.append((type(pipe).__name__, step, sorted(tensors)))
        return {}

    sraccel.handoff(
        *(*pipes, recipe(switch_step=2)),
        **call(4, callback_on_step_end=callback),
        callback_on_step_end_tensor_inputs=["latents", "prompt_embeds"],
    )
    names = ["latents", "prompt_embeds"]
    assert seen == [
        ("WanPipeline", 0, names),
        ("WanPipeline", 1, names),
        ("WanVideoToVideoPipeline", 0, names),
        ("WanVideoToVideoPipeline", 1, names),
    ]
