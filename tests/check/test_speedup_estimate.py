"""The speedup that `sraccel check` estimates: its arithmetic, and what it leaves out."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import outlined
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sraccel.accelerators.sageattention import kernels
from sraccel.accelerators.srdiffusion.accelerator import SRDiffusion
from sraccel.accelerators.srdiffusion.forecast import switch_range
from sraccel.accelerators.srdiffusion.switching import SwitchDetector
from sraccel.accelerators.teacache.calibration_file import CalibrationFile
from sraccel.check.model_check import check_model
from sraccel.check.pipeline_outline import outline_of
from sraccel.check.speedup_estimate import (
    SpeedupEstimate,
    estimate_speedup,
    in_words,
    relative_costs,
    skipped_cost,
)
from sraccel.composer import compose
from sraccel.demo.pair import DEMO_WEIGHTS
from sraccel.loop.accelerator import Accelerator
from sraccel.loop.forecast import Forecast
from sraccel.loop.stack import Stack
from sraccel.models.source import PipelineOutline
from sraccel.recipe.catalogue import installed
from sraccel.recipe.recipe import Recipe
from sraccel.testing import load_demo_pipeline

STEPS = 50
SRDIFFUSION = {"use": "srdiffusion", "render": "demo"}
demo = functools.cache(lambda: outline_of("demo"))
render = functools.cache(
    lambda: Recipe(accelerators=[SRDIFFUSION]).accelerators[0].without_weights().render
)


def stack_of(*accelerators: Any, pipeline: PipelineOutline | None = None) -> Stack:
    """A stack of outlines."""
    items = Recipe(accelerators=list(accelerators)).accelerators
    outlined = [
        item.model_copy(update={"render": render()}) if item.use == "srdiffusion" else item
        for item in items
    ]
    return compose(pipeline or demo(), [item.accelerator(item) for item in outlined])


def estimate_of(*accelerators: Any, steps: int = STEPS) -> SpeedupEstimate:
    return estimate_speedup(stack_of(*accelerators), steps)


def message_of(recipe: Any, model: str | Path = "demo") -> str:
    found = check_model(Recipe.load(recipe), str(model), "float32")
    (finding,) = [one for one in found if one.about == "speedup"]
    assert finding.level == "note"
    return finding.message


@functools.cache
def costs() -> Mapping[str, float]:
    stack = stack_of(SRDIFFUSION)
    assert all(next(one.module.parameters()).is_meta for one in stack.denoisers.values())
    return relative_costs(stack.denoisers["render"], stack.denoisers["transformer"])


def test_a_step_of_the_demos_render_model_costs_what_its_configuration_says():
    by_parameters, by_attention = costs().values()
    assert by_parameters == 530_688 / 5_546_240
    assert by_attention == (2 * 128) / (7 * 256)


@pytest.mark.parametrize("switch", [0, 1, 20, 25, 49, 50, 80])
def test_a_fixed_switch_gives_the_closed_formula(switch: int):
    found = estimate_of({**SRDIFFUSION, "switch_step": switch})
    sketched = min(switch, STEPS)
    expected = [STEPS / (sketched + (STEPS - sketched) * cost) for cost in costs().values()]
    assert found.speedup == pytest.approx((min(expected), max(expected)))
    assert not found.unknown


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 60),
    st.integers(0, 60),
    st.none() | st.integers(0, 60),
    st.floats(0, 1),
    st.data(),
)
def test_an_adaptive_switch_gives_a_range_that_holds_each_switch_in_it(
    steps: int, min_step: int, max_step: int | None, between: float, data: st.DataObject
):
    assume(max_step is None or max_step >= min_step)
    given_options = {**SRDIFFUSION, "min_step": min_step, "max_step": max_step}
    stack = stack_of(given_options)
    first, last = switch_range(stack.accelerators[0].options, steps)
    switch = data.draw(st.integers(first, last))
    low, high = costs().values()
    cost = low + between * (high - low)
    slowest, fastest = estimate_speedup(stack, steps).speedup
    speedup = steps / (switch + (steps - switch) * cost)
    assert slowest * (1 - 1e-9) <= speedup <= fastest * (1 + 1e-9)


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
    """A file with the demo's coefficients and a table of thresholds."""
    entry = CalibrationFile.load(DEMO_WEIGHTS / "teacache.json").models[role]
    table = [{"threshold": 0.1, "skipped": 0.2}, {"threshold": 0.3, "skipped": 0.6}]
    facts = {"num_inference_steps": [STEPS], "thresholds": table, **changed}
    file = CalibrationFile.model_validate({"models": {role: {**entry.model_dump(), **facts}}})
    return str(file.save(path / f"{role}.json"))


@pytest.mark.parametrize(
    ("threshold", "share"), [(0.1, 0.2), (0.15, 0.3), (0.2, 0.4), (0.3, 0.6), (0, 0)]
)
def test_a_calibrations_table_is_interpolated(tmp_path: Path, threshold: float, share: float):
    item = {"use": "teacache", "threshold": threshold, "coefficients": calibration(tmp_path)}
    stack = stack_of(item)
    found = estimate_speedup(stack, STEPS)
    free, dear = skipped_cost(stack.denoisers["transformer"])
    assert (free, dear) == (0, (6_143_560 - 5_546_240) / 6_143_560)
    expected = (1 / (1 - share * (1 - dear)), 1 / (1 - share))
    assert found.speedup == pytest.approx(expected)
    assert not found.unknown
    if share:
        assert f"teacache skips {share:.0%} of the transformer steps" in found.forecasts[0].assumes


@pytest.mark.parametrize(
    ("changed", "threshold", "reason"),
    [
        ({}, 0.05, "the table goes from 0.1 to 0.3"),
        ({}, 0.31, "the table goes from 0.1 to 0.3"),
        ({"num_inference_steps": [20]}, 0.2, "the table is of 20 steps"),
        ({"num_inference_steps": [20, 50]}, 0.2, "the table is of 20, 50 steps"),
        ({"thresholds": []}, 0.2, "no table of thresholds"),
    ],
)
def test_what_is_in_no_table_is_unknown_and_no_factor(
    tmp_path: Path, changed: dict[str, Any], threshold: float, reason: str
):
    file = calibration(tmp_path, **changed)
    found = estimate_of({"use": "teacache", "threshold": threshold, "coefficients": file})
    assert found.speedup == (1, 1)
    assert len(found.unknown) == 1
    assert f"what teacache skips (transformer: {reason}" in found.unknown[0]


def test_a_switch_and_a_table_of_one_of_the_models_multiply_out(tmp_path: Path):
    coefficients = {"transformer": calibration(tmp_path), "render": [0, 0, 0, 1, 0]}
    cache = {"use": "teacache", "threshold": 0.2, "coefficients": coefficients}
    stack = stack_of({**SRDIFFUSION, "switch_step": 20}, cache)
    found = estimate_speedup(stack, STEPS)
    _, dear = skipped_cost(stack.denoisers["transformer"])
    low, high = sorted(costs().values())
    slowest = STEPS / (20 * (1 - 0.4 * (1 - dear)) + 30 * high)
    assert found.speedup == pytest.approx((slowest, STEPS / (20 * 0.6 + 30 * low)))
    assert found.unknown[0].startswith("what teacache skips (render: no table of thresholds")


def test_a_cache_that_waits_for_the_switch_skips_none_of_the_sketch(tmp_path: Path):
    coefficients = {
        "transformer": calibration(tmp_path),
        "render": calibration(tmp_path, "render"),
    }
    cache = {"use": "teacache", "threshold": 0.2, "coefficients": coefficients}
    switch = {**SRDIFFUSION, "switch_step": 20}
    found = estimate_of(switch, {**cache, "start": "after_switch"})
    assert set(found.forecasts[1].skipped) == {"render"}
    assert found.speedup[1] == pytest.approx(STEPS / (20 + 30 * 0.6 * min(costs().values())))


def test_the_demo_recipe_holds_what_was_measured_and_says_that_it_is_arithmetic():
    text = message_of("demo")
    assert re.match(r"about 3\.\dx to 2\d\.\dx by arithmetic, not measured \(50 steps", text)
    assert "a switch at step 3 at the earliest, perhaps never" in text
    assert "what sageattention costs (it claims no speed)" in text
    assert re.search(r"teacache skips \d+% of the transformer steps, \d+% of the render", text)
    assert "A small model seldom runs as fast as its arithmetic says" in text


def test_a_fixed_switch_on_published_sizes(tmp_path: Path):
    large = outlined.wan(tmp_path / "large", outlined.WAN_14B)
    small = outlined.wan(tmp_path / "small", outlined.WAN_1_3B)
    recipe = {
        "accelerators": [{"use": "srdiffusion", "render": str(small), "switch_step": 20}],
        "sampling": {"num_inference_steps": 40},
    }
    text = message_of(recipe, large)
    assert text.startswith("about 1.6x to 1.8x by arithmetic, not measured (40 steps; ")
    assert (
        "0.10 (by its blocks' parameters) to 0.23 (by its attention) of a transformer step" in text
    )
    assert "a switch at step 20)" in text
    assert "only a run will tell" not in text


def test_unknown_parts_are_named(monkeypatch: pytest.MonkeyPatch):
    class Silent(Accelerator):
        """Says nothing of itself."""

        name = "silent"

    monkeypatch.setitem(installed().accelerators, "silent", Silent)
    reencoded = {**SRDIFFUSION, "render": "org/name", "handoff": "reencode"}
    text = message_of({"accelerators": [{"use": "silent"}, reencoded]})
    assert text.startswith("not predictable without a run: ")
    assert "what silent gains; what srdiffusion gains" in text
    assert "`sraccel generate --compare` measures it" in text


def test_any_accelerator_can_give_a_forecast(monkeypatch: pytest.MonkeyPatch):
    class Halves(Accelerator):
        """Skips every second step."""

        name = "halves"

        def forecast(self, stack: Stack, num_inference_steps: int) -> Forecast:
            return Forecast(
                skipped={"transformer": (0.5, 0.5)}, assumes="halves skips each other step"
            )

    monkeypatch.setitem(installed().accelerators, "halves", Halves)
    text = message_of({"accelerators": [{"use": "halves"}]})
    assert text.startswith("about 1.8x to 2.0x by arithmetic")
    assert "halves skips each other step" in text


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
    found = check_model(Recipe(accelerators=[{"use": "wrong"}]), "demo", "float32")
    (error,) = [one for one in found if one.level == "error"]
    assert error.about == "wrong"
    assert "forecast" in error.message or "'unknown'" in error.message


def test_what_does_nothing_is_once_the_speed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(kernels, "_cuda_lacks", lambda: "no GPU in this test")
    assert message_of({}).startswith("1.0x: nothing")
    assert message_of([{"use": "sageattention", "kernel": "auto"}]).startswith("1.0x: nothing")
    assert message_of([{"use": "teacache", "threshold": 0}]).startswith("1.0x: nothing")


def test_what_is_refused_is_not_estimated(tmp_path: Path):
    other = outlined.cogvideox(tmp_path / "other", outlined.COGVIDEOX_2B, 1, 1)
    assert message_of([{**SRDIFFUSION, "switch_step": 8}], other).startswith("not estimated")


@pytest.mark.parametrize(
    ("speedup", "words"), [((1.84, 1.76), "1.8x"), ((1.0, 2.96), "1.0x to 3.0x")]
)
def test_numbers_are_rounded_to_what_arithmetic_is_worth(speedup: tuple[float, float], words: str):
    assert in_words(speedup) == words
