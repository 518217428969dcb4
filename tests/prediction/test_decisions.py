"""What accelerators say of a run before it: when they switch, and what they skip."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sraccel.accelerators.srdiffusion.accelerator import SRDiffusion
from sraccel.accelerators.srdiffusion.forecast import switch_range
from sraccel.accelerators.srdiffusion.switching import SwitchDetector
from sraccel.accelerators.teacache.calibration_file import CalibrationFile
from sraccel.accelerators.teacache.published_speeds import published_share
from sraccel.check.pipeline_outline import outline_of
from sraccel.composer import compose
from sraccel.demo.pair import DEMO_WEIGHTS
from sraccel.errors import PluginError
from sraccel.loop.accelerator import Accelerator
from sraccel.loop.forecast import Forecast
from sraccel.loop.stack import Stack
from sraccel.prediction.decisions import Decisions, Given, decisions_of
from sraccel.recipe.catalogue import installed
from sraccel.recipe.recipe import Recipe
from sraccel.report.model import Report
from sraccel.report.words import share
from sraccel.testing import load_demo_pipeline

STEPS = 50
SRDIFFUSION = {"use": "srdiffusion", "render": "demo"}
demo = functools.cache(lambda: outline_of("demo"))
render = functools.cache(
    lambda: Recipe(accelerators=[SRDIFFUSION]).accelerators[0].without_weights().render
)


def stack_of(*accelerators: Any, pipeline: Any = None) -> Stack:
    """A stack of outlines."""
    items = Recipe(accelerators=list(accelerators)).accelerators
    outlined = [
        item.model_copy(update={"render": render()}) if item.use == "srdiffusion" else item
        for item in items
    ]
    return compose(pipeline or demo(), [item.accelerator(item) for item in outlined])


def decided(*accelerators: Any, **user: Any) -> Decisions:
    return decisions_of(stack_of(*accelerators), "demo", STEPS, Given(**user))


@pytest.mark.parametrize("switch", [0, 1, 20, 49, 50, 80])
def test_a_fixed_switch_is_taken_as_it_is(switch: int):
    found = decided({**SRDIFFUSION, "switch_step": switch})
    assert found.switch == min(switch, STEPS)
    assert found.switch_range is None


def test_an_adaptive_switch_is_assumed_where_studies_saw_it_and_the_user_goes_before_them():
    found = decided(SRDIFFUSION)
    assert found.switch == 9
    assert found.switch_range == (3, STEPS)
    assert "median of the demo pair's factorial study" in found.assumed[0]
    other = decided({**SRDIFFUSION, "threshold": 0.5})
    assert other.switch == 10
    assert "no study of this model is known" in other.assumed[0]
    assert decided({**SRDIFFUSION, "max_step": 4}).switch == 5
    assert decided(SRDIFFUSION, switch=17).switch == 17


@settings(deadline=None, max_examples=100)
@given(
    st.integers(1, 20),
    st.integers(0, 12),
    st.none() | st.integers(0, 12),
    st.sampled_from(["auto", "paper", "per_step"]),
    st.data(),
)
def test_the_rules_switch_within_the_range(
    steps: int, min_step: int, max_step: int | None, rule: str, data: st.DataObject
):
    assume(max_step is None or max_step >= min_step)
    options = SRDiffusion.Options(
        render="demo", min_step=min_step, max_step=max_step, rule=rule, threshold=0.5
    )
    detector = SwitchDetector(options)
    switch = 0
    while switch < steps and not detector.render_takes(switch, None):
        prediction = torch.tensor([data.draw(st.floats(0.5, 2)), 1.0])
        detector.observe(switch, prediction, data.draw(st.booleans()))
        switch += 1
    first, last = switch_range(options, steps)
    assert first <= switch <= last


@pytest.mark.parametrize("sigma", [0.05, 0.3, 0.5, 0.9, 2.0])
def test_a_switch_by_noise_level_is_found_in_the_schedule(sigma: float):
    stack = stack_of({**SRDIFFUSION, "switch_sigma": sigma})
    pipe = load_demo_pipeline()
    pipe.scheduler.set_timesteps(STEPS)
    taken = sum(level <= sigma for level in pipe.scheduler.sigmas[:STEPS].tolist())
    forecast = stack.accelerators[0].forecast(stack, STEPS)
    assert forecast.taken == {"render": (taken, taken)}
    assert f"reaches at step {STEPS - taken}" in forecast.assumes


def test_without_a_scheduler_a_noise_level_may_come_at_any_step():
    stack = stack_of({**SRDIFFUSION, "switch_sigma": 0.5})
    stack.pipeline = None
    forecast = stack.accelerators[0].forecast(stack, STEPS)
    assert forecast.taken == {"render": (0, STEPS)}
    assert "any step" in forecast.assumes


def calibration(path: Path, role: str = "transformer", **changed: Any) -> str:
    """A file with the demo's coefficients."""
    entry = CalibrationFile.load(DEMO_WEIGHTS / "teacache.json").models[role]
    file = CalibrationFile.model_validate({"models": {role: {**entry.model_dump(), **changed}}})
    return str(file.save(path / f"{role}.json"))


def skipped(report: Report) -> dict[str, list[int]]:
    """The steps that each model skipped in a run, of every branch."""
    found: dict[str, list[int]] = {step.denoiser: [] for step in report.steps}
    for step in report.steps:
        if step.calls[0].reused:
            found[step.denoiser].append(step.index)
    return found


@pytest.mark.parametrize(
    "recipe",
    [
        [{"use": "teacache", "threshold": 0.03}],
        [{"use": "teacache", "threshold": 0.08, "retention": True}],
        [{**SRDIFFUSION, "switch_step": 10}, {"use": "teacache", "threshold": 0.08}],
        [{**SRDIFFUSION, "switch_step": 10}, {"use": "schedule", "budget": 12}],
    ],
)
def test_the_steps_that_are_said_to_be_skipped_are_those_of_the_run_at_another_size(
    recipe: list[dict[str, Any]],
):
    pipe = load_demo_pipeline()
    with compose(pipe, recipe) as stack:
        pipe("a red square", height=16, width=32, num_frames=2, output_type="latent")
    done = skipped(stack.report)
    forecast = decided(*recipe)
    switch = STEPS if forecast.switch is None else forecast.switch
    taken = {"transformer": range(switch), "render": range(switch, STEPS)}
    said = {role: {*forecast.skips[role](taken[role])} - {taken[role][0]} for role in done}
    assert {role: sorted(steps) for role, steps in said.items()} == done
    assert forecast.reused_by == recipe[-1]["use"]
    assert not forecast.left_out


def test_a_forecast_says_at_which_size_its_calibration_was_made():
    found = decided({"use": "teacache", "threshold": 0.08})
    assert found.level == "blocks"
    assert "changes of its calibration's runs (at 64 x 64 x 8)" in found.assumed[-1]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"num_inference_steps": [20]}, "the calibration is of 20 steps"),
        ({"changes": []}, "no changes from step to step"),
    ],
)
def test_what_no_calibration_says_is_left_out_unless_the_user_says_it(
    tmp_path: Path, changed: dict[str, Any], reason: str
):
    file = calibration(tmp_path, **changed)
    item = {"use": "teacache", "threshold": 0.2, "coefficients": file}
    found = decided(item)
    assert not found.skips
    assert f"what teacache skips (transformer: {reason}" in found.left_out[0]
    told = decided(item, skipped={"": 0.5})
    assert len(told.skips["transformer"](range(STEPS))) == STEPS / 2
    assert f"teacache skips {share(0.5)} of transformer (given)" in told.assumed
    assert not told.left_out


@pytest.mark.parametrize(
    ("model", "retention", "threshold", "share"),
    [
        ("Wan2.1 t2v 1.3B", False, 0.05, 1 - 117 / 175),
        ("Wan2.1 t2v 14B", True, 0.1, 1 - 915 / 1829),
        ("Wan2.1 t2v 14B", True, 0.15, 1 - (915 + 578) / 2 / 1829),
        ("Wan2.1 t2v 14B", True, 0.3, None),
        ("CogVideoX-5b", False, 0.1, None),
    ],
)
def test_published_times_say_what_share_is_skipped(
    model: str, retention: bool, threshold: float, share: float | None
):
    assert published_share(model, retention, threshold) == pytest.approx(share)


def test_a_cache_that_waits_for_the_switch_skips_none_of_the_sketch(tmp_path: Path):
    coefficients = {
        "transformer": calibration(tmp_path),
        "render": calibration(tmp_path, "render"),
    }
    cache = {"use": "teacache", "threshold": 0.2, "coefficients": coefficients}
    switch = {**SRDIFFUSION, "switch_step": 20}
    assert set(decided(switch, {**cache, "start": "after_switch"}).skips) == {"render"}


def test_a_schedule_skips_whole_calls_and_says_which():
    found = decided({"use": "schedule", "steps": [0, 10, 20, 30, 40]})
    assert sorted(found.skips["transformer"](range(8, 13))) == [8, 9, 11, 12]
    assert found.level == "call"


@pytest.mark.parametrize("role", ["transformer", "unknown"])
def test_a_forecast_that_cannot_be_is_an_error_of_its_accelerator(
    monkeypatch: pytest.MonkeyPatch, role: str
):
    class Wrong(Accelerator):
        """Its forecast is nonsense."""

        name = "wrong"

        def forecast(self, stack: Stack, num_inference_steps: int) -> Forecast:
            if role == "unknown":
                return Forecast(taken={role: (1, 1)})
            raise KeyError("a bug")

    monkeypatch.setitem(installed().accelerators, "wrong", Wrong)
    with pytest.raises(PluginError, match=r"forecast|'unknown'") as raised:
        decided({"use": "wrong"})
    assert raised.value.accelerator == "wrong"


def test_what_says_nothing_of_itself_is_left_out(monkeypatch: pytest.MonkeyPatch):
    class Silent(Accelerator):
        """Says nothing of itself."""

        name = "silent"

    monkeypatch.setitem(installed().accelerators, "silent", Silent)
    assert decided({"use": "silent"}).left_out == ["what silent gains or costs"]
