"""Invariant 1: a stack that does nothing changes nothing, bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from diffusers import (
    DPMSolverMultistepScheduler,
    FlowMatchEulerDiscreteScheduler,
    FlowMatchHeunDiscreteScheduler,
    UniPCMultistepScheduler,
    WanTransformer3DModel,
)
from tiny_models import IDENTITY, tiny_pipeline

import sraccel

NEGATIVE = [0.0, 0.0, 0.0, 0.0, -1.0]
"""A polynomial that is always negative: any accumulated value is below any threshold."""

SCHEDULERS = {
    "unipc": lambda: UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0
    ),
    "dpm": lambda: DPMSolverMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0
    ),
    "euler": lambda: FlowMatchEulerDiscreteScheduler(shift=3.0),
    "heun": lambda: FlowMatchHeunDiscreteScheduler(shift=3.0),
}


def neutral(render: WanTransformer3DModel) -> dict[str, list[dict[str, Any]]]:
    """Recipes that must not change anything."""
    both = {"transformer": NEGATIVE, "render": NEGATIVE}
    return {
        "empty": [],
        "teacache at threshold 0": [{"use": "teacache", "threshold": 0, "coefficients": NEGATIVE}],
        "retention at threshold 0": [
            {"use": "teacache", "threshold": 0, "retention": True, "coefficients": NEGATIVE}
        ],
        "a switch that never comes": [{"use": "srdiffusion", "render": render, "switch_step": 999}],
        "both": [
            {"use": "srdiffusion", "render": render, "min_step": 999},
            {"use": "teacache", "threshold": 0, "coefficients": both},
        ],
    }


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("name", neutral(None))
def test_a_neutral_recipe_is_bit_identical_to_the_bare_pipeline(
    scheduler: str, name: str, render: WanTransformer3DModel, generate: Callable[..., torch.Tensor]
) -> None:
    pipe = tiny_pipeline(scheduler=SCHEDULERS[scheduler]())
    bare = generate(pipe)
    with sraccel.compose(pipe, neutral(render)[name]) as stack:
        assert torch.equal(generate(pipe), bare)
        assert torch.equal(generate(pipe), bare), "the second run differs"
    assert [report.outcome for report in stack.reports] == ["finished", "finished"]


def test_in_bfloat16_too(
    render: WanTransformer3DModel, generate: Callable[..., torch.Tensor]
) -> None:
    pipe = tiny_pipeline()
    pipe.transformer.to(torch.bfloat16)
    bare = generate(pipe)
    with sraccel.compose(pipe, neutral(render.to(torch.bfloat16))["both"]):
        assert torch.equal(generate(pipe), bare)


def test_a_recipe_that_acts_does_change_the_result(
    pipe: Any, render: WanTransformer3DModel, generate: Callable[..., torch.Tensor]
) -> None:
    """Without this, the tests above could pass because nothing is ever attached."""
    bare = generate(pipe)
    with sraccel.compose(pipe, [{"use": "srdiffusion", "render": render, "switch_step": 4}]):
        switched = generate(pipe)
    recipe = [{"use": "teacache", "threshold": 5.0, "coefficients": IDENTITY}]
    with sraccel.compose(pipe, recipe):
        cached = generate(pipe)
    assert not torch.equal(switched, bare)
    assert not torch.equal(cached, bare)
