"""What `sraccel check` says of a recipe whose settings were chosen at another flow shift."""

from __future__ import annotations

import math

import pytest
from diffusers import FlowMatchEulerDiscreteScheduler, UniPCMultistepScheduler
from hypothesis import given
from hypothesis import strategies as st

import sraccel
from sraccel.check.model_check import check_model
from sraccel.errors import RecipeError
from sraccel.loop.finding import Finding
from sraccel.models.loading import load_pipeline
from sraccel.noise.flow_shift import flow_shift, same_shift
from sraccel.recipe.recipe import Recipe
from sraccel.testing import load_demo_pipeline

TEACACHE = {"use": "teacache", "threshold": 0.1}


CALIBRATED = ({"use": "schedule", "budget": 12}, {"use": "steps", "number": 12})


def found_at(shift: float | None) -> list[Finding]:
    recipe = Recipe(flow_shift=shift, accelerators=[TEACACHE])
    return [one for one in check_model(recipe, "demo", "float32") if one.about == "flow shift"]


def test_a_recipe_of_another_shift_is_a_warning_with_both_values() -> None:
    (finding,) = found_at(7.0)
    assert finding.level == "warning"
    own = flow_shift(load_pipeline("demo").scheduler.config)
    assert f"at flow shift 7, and this model's scheduler has {own:g}" in finding.message


def test_the_same_shift_and_a_recipe_that_names_none_are_no_news() -> None:
    assert found_at(flow_shift(load_pipeline("demo").scheduler.config)) == []
    assert found_at(None) == []


@pytest.mark.parametrize("entry", CALIBRATED, ids=lambda entry: entry["use"])
def test_a_calibration_of_another_shift_is_a_warning_too(entry: dict[str, object]) -> None:
    pipe = load_demo_pipeline()
    with sraccel.compose(pipe, [entry]) as stack:
        assert not [one for one in outlook(stack) if one.level == "warning"]
    config = {**pipe.scheduler.config, "flow_shift": 1.5}
    pipe.scheduler = type(pipe.scheduler).from_config(config)
    with sraccel.compose(pipe, [entry]) as stack:
        (warning,) = [one.message for one in outlook(stack) if one.level == "warning"]
    assert "calibrated at flow shift 0.7, and this model's scheduler has 1.5" in warning


def outlook(stack: sraccel.Stack) -> list[Finding]:
    return [one for accelerator in stack.accelerators for one in accelerator.outlook(stack)]


@pytest.mark.parametrize("shift", [0, -1, math.inf, math.nan, "high"])
def test_a_shift_that_no_scheduler_can_have_is_refused(shift: object) -> None:
    with pytest.raises(RecipeError, match="flow_shift"):
        Recipe(flow_shift=shift, accelerators=[TEACACHE])


def test_schedulers_name_their_shift_in_two_ways_and_some_have_none() -> None:
    unipc = UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0
    )
    assert flow_shift(unipc.config) == 3.0
    assert flow_shift(FlowMatchEulerDiscreteScheduler(shift=7.0).config) == 7.0
    dynamic = FlowMatchEulerDiscreteScheduler(shift=7.0, use_dynamic_shifting=True)
    assert flow_shift(dynamic.config) is None
    assert flow_shift(UniPCMultistepScheduler().config) is None


@given(st.floats(0.01, 100), st.floats(0.01, 100))
def test_shifts_are_compared_by_their_ratio_both_ways(one: float, other: float) -> None:
    assert same_shift(one, other) == same_shift(other, one)
    assert same_shift(one, one)
    assert not same_shift(one, 2 * one)
